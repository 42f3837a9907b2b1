"""A person as a process: `python worker.py PLACE NAME PAUSE` labels once it gets a line.

Writes each item after the queue has taken its label, so that whoever kills it knows what must be
there.
"""

import sys
import time

from plumbrule.people import open_queue


def say(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    place, who, wait = sys.argv[1:]
    with open_queue(place) as queue:
        say("ready")
        sys.stdin.readline()
        while (served := queue.serve(who)) is not None:
            time.sleep(float(wait))
            queue.answer(who, served.item.id, served.item.answers[0], seconds=float(wait))
            say(served.item.id)
