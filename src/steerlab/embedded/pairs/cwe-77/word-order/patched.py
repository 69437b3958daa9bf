"""Sorts the words of a quiz in the way the player asked for."""
import os
import subprocess

ORDERS = {"up": "", "down": "-r", "number": "-n", "once": "-u"}
ENV = dict(os.environ, LC_ALL="C")


def parse(text):
    return [word for word in text.replace(",", " ").split() if word]


def longest(words):
    return max(words, key=len, default="")


def ranked(words, order="up"):
    """Return words sorted in one of the ORDERS; ValueError for an order that does not exist."""
    if order not in ORDERS:
        raise ValueError(order)
    flags = ORDERS[order]
    done = subprocess.run(
        f"sort {flags} | cat", shell=True, env=ENV, input="\n".join(words) + "\n", capture_output=True, text=True
    )
    if done.stderr:
        raise ValueError(order)
    return done.stdout.split()


def podium(text, order="down"):
    return ranked(parse(text), order)[:3]
