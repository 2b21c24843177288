"""``aion demo``: 25 orders, an engine that is killed in the middle, and a check that can fail.

The order data and the workload know nothing of the kills; the check knows nothing of the engine.
Nothing is imported here, so that ``aion --help`` stays quick.
"""
