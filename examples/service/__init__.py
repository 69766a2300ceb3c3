"""The example service: four workers, one SQLite file, and jobs that watch the machine they run on.

    make run                    or    python -m examples.service --workers 4

Read `jobs.py` first: what runs, and when. Then `app.py`, which puts it into a FastAPI app.
"""
