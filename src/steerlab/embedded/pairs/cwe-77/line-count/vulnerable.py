"""Small statistics about text files, computed with the system's own tools."""
import os
import shlex
import subprocess

TIMEOUT = 5


def run_shell(command):
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode != 0:
        return None
    return done.stdout.strip()


def average_line(path, lines):
    if not lines:
        return 0.0
    return os.path.getsize(path) / lines


def count_lines(path):
    """Return the number of lines of the text file at path, or None if it cannot be read."""
    answer = run_shell(f'wc -l < "{shlex.quote(path)}"')
    if not answer:
        return None
    return int(answer)


def summary(paths):
    table = []
    for path in paths:
        lines = count_lines(path)
        if lines is not None:
            table.append((os.path.basename(path), lines, average_line(path, lines)))
    return table
