"""The example service: four workers, jobs that watch the machine they run on, a handbook and a chat about it.

    make run                    or    python -m examples.service --workers 4

Read `jobs.py` first: what runs, and when. Then `handbook.py` and `chat.py`: documents that a job keeps fresh, and
sessions. `app.py` puts them into a FastAPI app.
"""
