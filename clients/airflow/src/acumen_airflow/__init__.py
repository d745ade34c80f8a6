"""Acumen for Apache Airflow.

- ``hook.py``: the connection type ``acumen``, and clients made of a connection.
- ``operators.py``: send, ask, check, extract; ``event_files.py`` reads what is sent, ``tokens.py`` says
  which event is which when a task is tried again, ``conditions.py`` compares answers.
- ``looks.py``: what is waited for, each a value with one coroutine; ``sensors.py`` and ``triggers.py`` wait
  for it.
- ``assets.py``: assets that change when a pipeline has derived a bucket.
- ``run_events.py``: Airflow's own runs as events; off unless configured.
- ``provider.py``: what Airflow is told of all that. It imports nothing, for Airflow reads it at every start.
"""

__version__ = "0.1.0"
