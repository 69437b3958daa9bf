"""The only place where hooks are attached and removed.

Per network there is one `Stream` while anything is attached: one pre-hook that tracks positions, one hook per
layer in use. A layer hook first applies the edits in the order in which their contexts were entered, then calls the
readers; so capture sees the steered stream however the two are nested.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeGuard
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from steerlab.errors import InterventionError
from steerlab.positions import PositionTracker

Edit = Callable[[Tensor], Tensor]
Reader = Callable[[Tensor], None]
Keep = Callable[[Tensor], None]


class Stream:
    """What is attached to one network at the moment."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.positions = PositionTracker()
        self.keepers: list[Keep] = []
        self.fixed_rows: list[int] = []
        self.paused = False
        self._edits: dict[nn.Module, list[Edit]] = {}
        self._readers: dict[nn.Module, list[Reader]] = {}
        self._handles: dict[nn.Module, RemovableHandle] = {}
        self._parameters = tuple(inspect.signature(network.forward).parameters)
        self._before = network.register_forward_pre_hook(self._enter, with_kwargs=True, prepend=True)
        self._users = 0

    def _enter(self, network: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        if self.paused:
            return
        given = dict(zip(self._parameters, args, strict=False)) | kwargs
        tokens = given.get("input_ids")
        tokens = given.get("inputs_embeds") if tokens is None else tokens
        if tokens is None:
            raise InterventionError(
                "the forward has neither input_ids nor inputs_embeds by name: positions are unknown."
            )
        cache, mask = given.get("past_key_values"), given.get("attention_mask")
        if mask is not None and (not isinstance(mask, Tensor) or mask.ndim != 2):
            raise InterventionError(  # such a mask does not say which tokens are padding
                "the forward has a ready-made attention mask: steering needs the padding mask [batch, position]. "
                "Use the default (dynamic) cache, not a static one."
            )
        past = int(cache.get_seq_length()) if cache is not None else 0  # type: ignore[attr-defined]
        shape = (int(tokens.shape[0]), int(tokens.shape[1]))  # type: ignore[attr-defined]
        self.positions.enter_forward(mask=mask, past=past, shape=shape, device=tokens.device)  # type: ignore[attr-defined]

    def _hook(self, layer: nn.Module) -> RemovableHandle:
        def hook(module: nn.Module, args: object, output: object) -> object:
            if self.paused:
                return output
            residual = output[0] if isinstance(output, tuple) else output
            for edit in self._edits.get(layer, ()):
                residual = edit(residual)  # type: ignore[arg-type]
            for reader in self._readers.get(layer, ()):
                reader(residual)  # type: ignore[arg-type]
            return (residual, *output[1:]) if isinstance(output, tuple) else residual

        return layer.register_forward_hook(hook, prepend=True)

    def keep(self, rows: Tensor) -> None:
        """Tell everything attached that the batch goes on with these rows only, in this order."""
        self.positions.keep(rows)
        for keeper in self.keepers:
            keeper(rows)

    def _attach(self, table: dict[nn.Module, list], layer: nn.Module, function: object) -> None:  # type: ignore[type-arg]
        table.setdefault(layer, []).append(function)
        if layer not in self._handles:
            self._handles[layer] = self._hook(layer)

    def _detach(self, table: dict[nn.Module, list], layer: nn.Module, function: object) -> None:  # type: ignore[type-arg]
        if function in table.get(layer, ()):
            table[layer].remove(function)
        if not self._edits.get(layer) and not self._readers.get(layer) and layer in self._handles:
            self._handles.pop(layer).remove()

    def close(self) -> None:
        """Remove every hook."""
        self._before.remove()
        for handle in self._handles.values():
            handle.remove()
        self._handles.clear()


_STREAMS: WeakKeyDictionary[nn.Module, Stream] = WeakKeyDictionary()


@contextmanager
def attached(
    network: nn.Module,
    *,
    edits: Mapping[nn.Module, Edit] | None = None,
    readers: Mapping[nn.Module, Reader] | None = None,
    keeper: Keep | None = None,
) -> Iterator[Stream]:
    """Attach edits and readers (by layer module) to `network`; everything is removed at the end, also on error."""
    stream = _STREAMS.get(network)
    if stream is None:
        stream = _STREAMS[network] = Stream(network)
    stream._users += 1
    plan = [(stream._edits, layer, edit) for layer, edit in (edits or {}).items()]
    plan += [(stream._readers, layer, reader) for layer, reader in (readers or {}).items()]  # type: ignore[misc]
    try:
        if keeper is not None:
            stream.keepers.append(keeper)
        for table, layer, function in plan:
            stream._attach(table, layer, function)
        yield stream
    finally:
        for table, layer, function in plan:
            stream._detach(table, layer, function)
        if keeper is not None:
            stream.keepers.remove(keeper)
        stream._users -= 1
        if stream._users == 0:
            stream.close()
            del _STREAMS[network]


def stream_of(network: nn.Module) -> Stream | None:
    """The stream of `network` while something is attached to it, else None."""
    return _STREAMS.get(network)


@contextmanager
def prompt_lengths(network: nn.Module, lengths: list[int] | None) -> Iterator[Stream]:
    """State how many real tokens of each row are prompt, for the prefills inside this block."""
    with attached(network) as stream:
        before = stream.positions.expected
        stream.positions.expect_prompt_lengths(lengths)
        try:
            yield stream
        finally:
            stream.positions.expect_prompt_lengths(before)


@contextmanager
def paused(network: nn.Module) -> Iterator[None]:
    """Let forwards inside the block pass unsteered, unread and uncounted: for measuring the network itself."""
    stream = _STREAMS.get(network)
    if stream is None or stream.paused:
        yield
        return
    stream.paused = True
    try:
        yield
    finally:
        stream.paused = False


@contextmanager
def last_logits_only(network: nn.Module, head: nn.Module | None, *, n_positions: int = 1) -> Iterator[None]:
    """Compute logits for the last `n_positions` only, on a real copy of them.

    transformers' own `logits_to_keep=1` hands the head a strided slice, which is up to 200 x slower on the CPU in
    bfloat16 (torch 2.13). `head` is the module that makes logits; None leaves the network as it is.
    """
    if head is None:
        yield
        return

    def trim(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        residual = args[0]
        if residual.ndim != 3 or residual.shape[1] <= n_positions:
            return args
        last = residual.new_empty(residual.shape[0], n_positions, residual.shape[2])
        return (last.copy_(residual[:, -n_positions:]), *args[1:])

    handle = head.register_forward_pre_hook(trim)
    try:
        yield
    finally:
        handle.remove()


def narrowable(head: nn.Module | None) -> TypeGuard[nn.Linear]:
    """Whether `narrow_head` can be used: a plain linear layer, not quantized, not offloaded."""
    return type(head) is nn.Linear and "forward" not in vars(head) and not head.weight.is_meta


@contextmanager
def narrow_head(head: nn.Linear, tokens: Int[Tensor, " kept"]) -> Iterator[None]:
    """Let the head make the logits of `tokens` only, in their order; its hooks still fire."""
    rows = tokens.to(head.weight.device)
    weight = head.weight[rows]
    bias = None if head.bias is None else head.bias[rows]
    vars(head)["forward"] = lambda residual: nn.functional.linear(residual, weight, bias)
    try:
        yield
    finally:
        del vars(head)["forward"]


class StopForwardError(Exception):
    """Raised by a reader to end a forward when no higher layer is wanted; who attaches such a reader catches it."""


def hook_count(network: nn.Module) -> int:
    """How many forward hooks and pre-hooks sit on the network and all of its modules."""
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules())


@contextmanager
def output_bytes(module: nn.Module) -> Iterator[list[int]]:
    """Collect the bytes of every tensor that a submodule of `module` gives while the block runs."""
    sizes: list[int] = []

    def record(_: nn.Module, __: object, output: object) -> None:
        parts = output if isinstance(output, tuple) else (output,)
        # not nbytes, which torch.compile (2.13) cannot trace
        sizes.extend(part.numel() * part.element_size() for part in parts if isinstance(part, torch.Tensor))

    handles = [part.register_forward_hook(record) for part in module.modules()]
    try:
        yield sizes
    finally:
        for handle in handles:
            handle.remove()


Inputs = Callable[[object], object]


@contextmanager
def attached_untracked(
    *, edits: Mapping[nn.Module, Edit], inputs: Mapping[nn.Module, Inputs] | None = None
) -> Iterator[None]:
    """Attach edits (by layer module) to forwards whose positions the caller knows: no padding mask is needed.

    `inputs` maps a layer to a function of each of its arguments, which gives the one that the layer sees instead.
    For the wave, whose queries are cells; everything is removed at the end, also on error.
    """

    def edit_of(change: Edit) -> Callable[[nn.Module, object, object], object]:
        def hook(_: nn.Module, __: object, output: object) -> object:
            residual = output[0] if isinstance(output, tuple) else output
            residual = change(residual)  # type: ignore[arg-type]
            return (residual, *output[1:]) if isinstance(output, tuple) else residual

        return hook

    def inputs_of(change: Inputs) -> Callable[..., tuple[tuple[object, ...], dict[str, object]]]:
        def hook(_: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> tuple[tuple[object, ...], dict]:  # type: ignore[type-arg]
            return tuple(map(change, args)), {name: change(value) for name, value in kwargs.items()}

        return hook

    handles: list[RemovableHandle] = []
    try:
        for layer, change in (inputs or {}).items():
            handles.append(layer.register_forward_pre_hook(inputs_of(change), with_kwargs=True, prepend=True))
        for layer, edit in edits.items():
            handles.append(layer.register_forward_hook(edit_of(edit), prepend=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def attached_to_sums(*, edits: Mapping[nn.Module, Edit]) -> Iterator[None]:
    """Attach edits to layers as vLLM has them: they give (part, rest), and the residual stream is the sum of the two.

    An edit is given the residual [token, d_model] and gives it back in float32; the difference goes into the first
    part. A layer that gives one tensor gives the residual itself. Everything is removed at the end, also on error.
    """

    def edit_of(change: Edit) -> Callable[[nn.Module, object, object], object]:
        def hook(_: nn.Module, __: object, output: object) -> object:
            if isinstance(output, Tensor):
                return change(output).to(output.dtype)
            assert isinstance(output, tuple)
            part, rest, *more = output
            residual = part if rest is None else part.float() + rest.float()
            return (part + (change(residual) - residual).to(part.dtype), rest, *more)

        return hook

    handles = [layer.register_forward_hook(edit_of(edit), prepend=True) for layer, edit in edits.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def replayed(layers: Sequence[nn.Module], residual: Tensor) -> Iterator[None]:
    """Let `layers` give `residual` instead of computing anything; hooks on them still fire.

    Not for layers that give tuples (transformers 5 has none among decoder layers): a check must show that it works.
    """
    before = [vars(layer).get("forward") for layer in layers]
    try:
        for layer in layers:
            vars(layer)["forward"] = lambda *args, **kwargs: residual
        yield
    finally:
        for layer, forward in zip(layers, before, strict=True):
            if forward is None:
                vars(layer).pop("forward", None)
            else:
                vars(layer)["forward"] = forward
