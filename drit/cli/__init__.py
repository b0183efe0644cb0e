"""The command line: one module for each command. Commands parse, call and print; they compute nothing.

main.py: the program. parser.py: its parser. flags.py: flags from settings. options.py: what commands share. demo.py:
`make demo`.
"""
