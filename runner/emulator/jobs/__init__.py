"""System jobs, the asynchronous service: a job and its states, the queue, who runs jobs, what a request makes of them.

A job whose row is in a file outlives the process: the row keeps what its step is to be told.
"""
