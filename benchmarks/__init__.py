"""What sessions cost, measured on this machine: ``python -m benchmarks --help``.

Only ratios within one run mean anything; a time in seconds says more about the machine than about the package.
Servers are started for the run, on free loopback ports, and stopped after it.
"""
