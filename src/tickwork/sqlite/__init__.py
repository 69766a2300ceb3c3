"""SQLite files that several processes share: the file and its turns, where it may be, the version of its tables.

The rule: nothing here knows what the tables hold. Each store that keeps something in such a file builds on it.
"""
