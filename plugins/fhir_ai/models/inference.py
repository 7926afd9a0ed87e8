"""Inference: one ONNX graph, run by onnxruntime in a thread so that a slow graph costs its timeout and no more."""

import importlib
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Any, Protocol

from fhir_ai.models.errors import ModelUnavailable

_WORKERS = 2


@dataclass(frozen=True, slots=True)
class Output:
    """Probability of the outcome, and one term of the linear predictor for each input, in their order."""

    probability: float
    terms: tuple[float, ...]


class Run(Protocol):
    """Something that computes the graph for one row."""

    def __call__(self, columns: Sequence[float]) -> Output:
        """Compute one row; `columns` are in the order of the model's inputs."""


class Graph:
    """The graph of one model file.

    Raises:
        ModelUnavailable: onnxruntime is not installed, or refuses the file.
    """

    def __init__(self, name: str, content: bytes) -> None:
        runtime = _runtime(name)
        self._numpy: Any = importlib.import_module("numpy")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no base of their own
            raise ModelUnavailable(f"onnxruntime refuses the file of the model {name!r}") from error
        given = {each.name for each in self._session.get_outputs()}
        self._outputs = [each for each in ("probabilities", "scores") if each in given]
        if "probabilities" not in given or [each.name for each in self._session.get_inputs()] != ["values"]:
            raise ModelUnavailable(f"the graph of the model {name!r} does not take `values` and give `probabilities`")

    def __call__(self, columns: Sequence[float]) -> Output:
        """Compute one row."""
        row = self._numpy.asarray([columns], dtype=self._numpy.float64)
        probabilities, *terms = self._session.run(self._outputs, {"values": row})
        return Output(float(probabilities[0][1]), tuple(float(each) for each in terms[0].ravel()) if terms else ())

    def many(self, rows: Sequence[Sequence[float]]) -> list[Output]:
        """Compute many rows in one run."""
        table = self._numpy.asarray(rows, dtype=self._numpy.float64)
        probabilities, *terms = self._session.run(self._outputs, {"values": table})
        parts = terms[0].reshape(len(rows), -1).tolist() if terms else [()] * len(rows)
        return [Output(float(each[1]), tuple(part)) for each, part in zip(probabilities, parts, strict=True)]


class Bounded:
    """Runs a graph within a time; while its threads are all held by slow runs, it answers at once that it is busy."""

    def __init__(self, name: str, run: Run) -> None:
        self._name, self._run = name, run
        self._threads = ThreadPoolExecutor(_WORKERS, thread_name_prefix=f"model-{name}")
        self._free = BoundedSemaphore(_WORKERS)

    def __call__(self, columns: Sequence[float], timeout: float) -> Output:
        """Compute one row within `timeout` seconds.

        Raises:
            ModelUnavailable: too slow, busy with slow runs, or onnxruntime failed.
        """
        return self.many([columns], timeout)[0]

    def many(self, rows: Sequence[Sequence[float]], timeout: float) -> Sequence[Output]:
        """Compute rows within `timeout` seconds. Raises ModelUnavailable as for one."""
        began = time.monotonic()
        if not self._free.acquire(timeout=timeout):
            raise ModelUnavailable(f"the model {self._name!r} is held by runs that are too slow")
        running = self._threads.submit(self._compute, rows)
        running.add_done_callback(self._release)
        try:
            return running.result(max(0.0, began + timeout - time.monotonic()))
        except FutureTimeout as error:
            raise ModelUnavailable(f"the model {self._name!r} took longer than {timeout:g} s") from error
        except Exception as error:
            raise ModelUnavailable(f"onnxruntime failed in the model {self._name!r}") from error

    def _compute(self, rows: Sequence[Sequence[float]]) -> Sequence[Output]:
        if len(rows) > 1 and isinstance(self._run, Graph):
            return self._run.many(rows)
        return [self._run(columns) for columns in rows]

    def _release(self, done: Future[Sequence[Output]]) -> None:
        self._free.release()


def _runtime(name: str) -> Any:
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        said = f"the model {name!r} needs onnxruntime: install fhir-server[ai]"
        raise ModelUnavailable(said) from error
