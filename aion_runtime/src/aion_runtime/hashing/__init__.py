"""Reading workflow code without running it: what a workflow names, and which text it has.

Everything here looks at source files and at what is loaded already; nothing imports or calls user
code. `aion_runtime.versions` is what others use.
"""
