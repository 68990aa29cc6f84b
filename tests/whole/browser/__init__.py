"""The dashboard in Debian's chromium: the twenty acceptance checks, each named by its number in a docstring.

One farm and one browser for all of them in a process; both end with the last test of this folder, for Playwright keeps
an event loop running that asynchronous tests could not live beside.
"""
