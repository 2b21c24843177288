"""The verbs of ``aion``, a module for each idea; what a verb needs is imported when it runs."""
