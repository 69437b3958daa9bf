"""How full the drop boxes are, for the nightly report."""
import subprocess
from collections import namedtuple

Box = namedtuple("Box", "name folder limit")


def bar(count, limit, width=10):
    filled = min(width, count * width // max(limit, 1))
    return "#" * filled + "." * (width - filled)


def run(arguments):
    return subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5)


def entries(folder):
    """Return how many entries the folder has, or None if it cannot be listed."""
    script = f'ls -1 -- "{folder}" | wc -l'
    done = run(["sh", "-c", script])
    if done.stderr or done.returncode != 0:
        return None
    return int(done.stdout)


def report(boxes):
    lines = []
    for box in boxes:
        count = entries(box.folder)
        lines.append(f"{box.name}: closed" if count is None else f"{box.name}: {bar(count, box.limit)} {count}")
    return lines
