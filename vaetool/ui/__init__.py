"""The page of `vaetool ui`: a small web server on this machine alone, and one module for each tab.

A tab's module turns a request of the page into one call of the function behind the command of that name.
"""
