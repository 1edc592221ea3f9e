"""A network walked block by block, with the stream of many images held at one place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from torch import Tensor, nn

# Among the places to look at, the empty name stands for the output of the block itself.
OUTPUT = ""


class Walk:
    """The streams of some images before one block of a network, and the way on from there.

    Args:
        model: in evaluation mode.
        trunk: names of the modules that carry the stream, in order.
        batches: images, each batch [b, 3, H, W], on any device.
    """

    def __init__(self, model: nn.Module, trunk: Sequence[str], batches: Sequence[Tensor]) -> None:
        self.model = model
        self._ahead = list(trunk)
        first = model.get_submodule(self._ahead[0])
        device = next(model.parameters()).device
        self._streams = [_entering(model, first, batch.to(device)) for batch in batches]

    @property
    def block(self) -> nn.Module:
        """The block that comes next."""
        return self.model.get_submodule(self._ahead[0])

    def reach(self, name: str) -> None:
        """Go on until `name` comes next."""
        while self._ahead[0] != name:
            for _ in self.step([]):
                pass

    def look(self, places: Sequence[str]) -> Iterator[dict[str, Tensor]]:
        """Run the next block on each batch and yield what is seen at `places`, without going on.

        Args:
            places: modules inside the block, whose input is meant, or :data:`OUTPUT`.
        """
        for stream in self._streams:
            yield _seen(self.block, places, stream)

    def step(self, places: Sequence[str]) -> Iterator[dict[str, Tensor]]:
        """Do the same, and go past the block when all batches are through."""
        for number, stream in enumerate(self._streams):
            seen = _seen(self.block, (*places, OUTPUT), stream)
            self._streams[number] = seen[OUTPUT]
            yield seen
        self._ahead.pop(0)


def rows(stream: Tensor, module: nn.Module | None = None) -> Tensor:
    """Bring a stream, or what `module` reads, to [positions, channels]: images first, then rows, then columns.

    Args:
        stream: [b, tokens, C] or [b, C, h, w]; [b, h, w, C] where `module` is a linear layer.
        module: the layer that reads it.
    """
    channels = 1 if stream.ndim == 4 and not isinstance(module, nn.Linear) else -1
    return stream.movedim(channels, -1).flatten(0, -2)


def _entering(model: nn.Module, module: nn.Module, batch: Tensor) -> Tensor:
    """Return what enters `module` when the model sees `batch`."""
    seen: dict[str, Tensor] = {}
    with ExitStack() as hooks:
        _watch(hooks, module, "", seen)
        model(batch)
    return seen[""]


def _seen(block: nn.Module, places: Sequence[str], stream: Tensor) -> dict[str, Tensor]:
    """Return what enters the `places` inside `block`, and what leaves it where :data:`OUTPUT` is among them."""
    seen: dict[str, Tensor] = {}
    with ExitStack() as hooks:
        for place in places:
            if place != OUTPUT:
                _watch(hooks, block.get_submodule(place), place, seen)
        output = block(stream)
    return seen | ({OUTPUT: output} if OUTPUT in places else {})


def _watch(hooks: ExitStack, module: nn.Module, name: str, seen: dict[str, Tensor]) -> None:
    """Note the input of `module` under `name` for as long as `hooks` is open."""
    handle = module.register_forward_pre_hook(lambda _, inputs: seen.update({name: inputs[0]}))
    hooks.callback(handle.remove)
