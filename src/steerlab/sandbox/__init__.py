"""Run untrusted code; says what it does not protect against."""

from steerlab.sandbox.running import run_many, run_untrusted
from steerlab.sandbox.values import CheckResult, Isolation, Job, Limits, SandboxResult
