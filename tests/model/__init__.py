"""The queue's scripts, on real servers, beside a model of what must hold.

model.py, crew.py           what must hold, in plain Python, from the lifecycle's table and the design
subject.py, *.lua           the program's own classes and scripts, with a clock that the test sets
seen.py, compare.py         what the server holds, and whether it is what the model says
clients.py, work.py, lives.py, upkeep.py    what is done: a table of actions, each made in both
stories/                    walks that somebody has thought of
walk.py, machine.py         walks by chance: seeded, and chosen by Hypothesis
settle.py                   how each walk ends: with every job
mutants.py, hunt.py         scripts with one mistake each, and whether anybody notices
equivalent.txt              those that nobody can notice, and why
rows.py                     the rows R12 and R13 of the scoreboard
"""
