"""What ``import rl_transfer as rt`` gives: the commands as functions, and sweeps as objects.

A command of the command line and the function of the same name are one path: the command reads options, calls
what stands here, and prints. Nothing is imported here: a command that refuses its arguments is quick.
"""
