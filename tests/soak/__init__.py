"""Some minutes of a daemon's life among people who do what people do, held against the promises.

    python -m tests.soak --seed 7 --minutes 10

Every choice comes from the seed and the number of the step, so that a run can be had again.
"""
