"""A store for Aion on LMDB: the worked example of ``docs/writing-a-store.md``.

``plugin`` is found by its entry point and names ``provider``, which reads URLs. ``store`` and
``writer`` are the contract; they run the functions of ``reads`` and ``writes`` in threads, each
in one transaction of ``database``. ``keys`` says how rows are found, ``lock`` who may write.
"""
