"""The cost of a whole training: minutes, memory and disk, reckoned from a probe, for any settings near those that were tried.

Where nothing was tried, usual_probe.py stands in for measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

from ..core.protocol.config import TrainConfig
from ..core.protocol.events import Estimated
from ..training.checkpoint_writer import SURE_GAUSSIANS
from ..training.cuda.memory import ALWAYS, least_memory
from ..training.data.image_store import GIGABYTE
from ..training.schedule import reduction_at, sh_degree_at
from ..training.trainer import PREVIEW_GAUSSIANS
from .probe_result import Kind, Probe, Size

CHECKPOINT_SHARE = 0.03
"""Of the time that checkpoints cost at most: they are written beside the training."""

BLOCKS = 400
"""Parts of a training in which the number of Gaussians is taken as constant."""

SAVED = 3
"""Checkpoints that lie on the disk at once: the newest, the one before it, and the one that is being written."""

STATE, FLOAT = 3, 4
"""A parameter and its two moments, and bytes of each."""

MOST_STRIPS, PAGE_SCORES = 12, 2
"""Held-out views that the report shows, and times that it draws each."""

PAGE_BYTES = 2e6
"""Report, log and events."""

TRAINED = 1.1
"""Times that steps take longer on a scene that is being trained than on the probe's Gaussians (late in three trainings: 1.0 to 1.3)."""

ERROR = 0.2
"""Relative error of the seconds beside that of the timing."""

GROWTH_ERROR = 2.0
"""Factor by which a training by the strategy default may grow faster or slower than its first steps say."""


class Forecast:
    """What trainings of one dataset on one engine take, beside a disk of so many free bytes (None: not known)."""

    def __init__(self, probe: Probe, free_disk: float | None = None):
        self._probe = probe
        self._free_disk = free_disk or 0.0

    def estimate(self, config: TrainConfig) -> Estimated:
        """Reckon a training with settled settings."""
        probe, growth = self._probe, self._probe.growth
        seconds = self.seconds(config, growth)
        error = ERROR + 2 * self._timing_error()
        factor = GROWTH_ERROR if config.strategy == "default" else 1.0
        fastest, slowest = (self.seconds(config, rate) for rate in (growth / factor, growth * factor))
        fastest, slowest = min(seconds, fastest) * (1 - error), max(seconds, slowest) * (1 + error)
        return Estimated(probe.engine, self.most_gaussians(config), seconds, fastest, slowest,
                         self.memory(config), probe.free, self.card(config), probe.free_card, self.disk(config), self._free_disk)

    def most_gaussians(self, config: TrainConfig) -> int:
        """How many the training may have at its end."""
        factor = GROWTH_ERROR if config.strategy == "default" else 1.0
        count, times = float(self._start(config)), refinements_between(config, 0, config.max_steps)
        return int(min(config.max_gaussians, count * (1 + min(1.0, self._probe.growth * factor)) ** min(times, 1000)))

    def _start(self, config: TrainConfig) -> int:
        return min(self._probe.start, config.max_gaussians)

    def seconds(self, config: TrainConfig, growth: float) -> float:
        """From the start of the engine to the result."""
        steps, refining, count = 0.0, 0.0, 0.0
        for begin, done, count in self._blocks(config, growth):
            steps += done * self._trained_seconds(config, begin + done // 2, count)
            refining += refinements_between(config, begin, begin + done) * self._line(lambda size: size.refining, count)
        return self._with_the_rest(config, steps + refining, count)

    def costs(self, config: TrainConfig) -> list[float]:
        """Seconds of a step in equal parts of the training."""
        return [self._trained_seconds(config, begin + done // 2, count) for begin, done, count in self._blocks(config, self._probe.growth)]

    def _blocks(self, config: TrainConfig, growth: float) -> Iterator[tuple[int, int, float]]:
        """Parts of the training: the first step, how many there are, and the Gaussians at the beginning of the part."""
        length, count = max(1, config.max_steps // BLOCKS, config.refine_every), float(self._start(config))
        for begin in range(0, config.max_steps, length):
            done = min(length, config.max_steps - begin)
            yield begin, done, count
            count = min(config.max_gaussians, count * (1 + min(1.0, growth)) ** refinements_between(config, begin, begin + done))

    def _trained_seconds(self, config: TrainConfig, step: int, count: float) -> float:
        """Of a step of a real training, with the photos that it has to read."""
        cards = config.gpus if self._probe.engine == "cuda" else 1  # as if they did not wait for one another
        missing = self._missing_photos(config) * self._probe.photo_seconds
        return (TRAINED * self.step_seconds(config, step, count) + missing) / cards

    def _with_the_rest(self, config: TrainConfig, learning: float, count: float) -> float:
        """Seconds of learning and of all that is done beside it: photos, measurements, previews, checkpoints, the result."""
        probe = self._probe
        score = self._score_seconds(config, count)
        saving, preview = (self._line(choose, count) for choose in (lambda size: size.saving, lambda size: size.preview))
        beside = min(CHECKPOINT_SHARE, saving / config.checkpoint_seconds) + preview / (config.preview_seconds + preview)
        measured = (config.max_steps - 1) // config.eval_every
        return ((probe.views + probe.held_out) * probe.photo_seconds + (learning + measured * score) * (1 + beside)
                + self.ending(config, count))

    def ending(self, config: TrainConfig, count: float) -> float:
        """Seconds from the last step to the result and its report."""
        score = self._score_seconds(config, count)
        pages = PAGE_SCORES * score * min(1.0, MOST_STRIPS / max(1, self._probe.held_out))
        return 2 * self._line(lambda size: size.saving, count) + score + pages

    def _score_seconds(self, config: TrainConfig, count: float) -> float:
        """To measure every held-out view."""
        return self._probe.held_out * self._line(lambda size: size.score, count) * self._pixels(config) / self._probe_pixels()

    def step_seconds(self, config: TrainConfig, step: int, count: float) -> float:
        """Of one step, with so many Gaussians."""
        pixels = self._pixels(config) / reduction_at(step, config) ** 2
        harmonics = (sh_degree_at(step, config) + 1) ** 2
        return self._line(lambda size: kind_seconds(size.kinds, pixels, harmonics), count)

    def memory(self, config: TrainConfig) -> float:
        """Bytes of the computer's memory at the highest."""
        probe = self._probe
        photos = self.all_photos(config) * (1 - self._missing_photos(config))
        working = max(self._working(config, lambda size: size.memory) - self._spared(config), self._saved_copies(config))
        return probe.idle + photos + max(probe.reading, probe.left + working)

    def _saved_copies(self, config: TrainConfig) -> float:
        """Bytes that a model takes at least while it is saved. Where a system tells the most alone that a process ever held, reading
        photos may hide what models take."""
        held = 2 if self._probe.engine == "cpu" else 1
        return self.most_gaussians(config) * held * STATE * bytes_of_parameters(config) - self._spared(config)

    def _spared(self, config: TrainConfig) -> float:
        """Bytes that many Gaussians take less than so many times what few take: of those beyond SURE_GAUSSIANS the processor's
        checkpoints are no copies. Rebuilding and the result still need a third of one."""
        beyond = max(0, self.most_gaussians(config) - SURE_GAUSSIANS) if self._probe.engine == "cpu" else 0
        return beyond * (STATE - 1) * bytes_of_parameters(config)

    def card(self, config: TrainConfig) -> float:
        """Bytes of the graphics card's memory, without photos, which take what is left; 0 on the processor."""
        return ALWAYS + self._working(config, lambda size: size.card) if self._probe.engine == "cuda" else 0.0

    def disk(self, config: TrainConfig) -> float:
        """Bytes of the job's folder at the highest."""
        count = self.most_gaussians(config)
        saved, result = (self._line(choose, count) for choose in (lambda size: size.checkpoint, lambda size: size.result))
        return SAVED * saved + result * (1 + min(1.0, PREVIEW_GAUSSIANS / count)) + PAGE_BYTES

    def _working(self, config: TrainConfig, choose: Callable[[Size], float]) -> float:
        """Memory of the model and of what is done with it. What does not come from Gaussians comes from pixels."""
        count = self.most_gaussians(config)
        pictures = max(0.0, self._line(choose, 0.0))
        return self._line(choose, count) + pictures * (self._pixels(config) / self._probe_pixels() - 1)

    def _line(self, choose: Callable[[Size], float], count: float) -> float:
        """A figure for so many Gaussians, by those of the two models; it never falls with their number."""
        small, large = self._probe.small, self._probe.large
        low, high = choose(small), choose(large)
        slope = max(0.0, high - low) / max(1, large.gaussians - small.gaussians)
        return max(0.0, low + slope * (count - small.gaussians))

    def _pixels(self, config: TrainConfig) -> float:
        """Of a full picture at the resolution of the settings."""
        side = self._probe.longest_side
        return self._probe_pixels() * (min(config.resolution, side) / min(self._probe.config.resolution, side)) ** 2

    def _probe_pixels(self) -> float:
        return max(kind.pixels for kind in self._probe.small.kinds)

    def all_photos(self, config: TrainConfig) -> float:
        """Bytes of every decoded photo."""
        return (self._probe.views + self._probe.held_out) * self.photo_bytes(config)

    def photo_bytes(self, config: TrainConfig) -> float:
        """Bytes of one decoded photo."""
        return self._probe.photo_bytes * self._pixels(config) / self._probe_pixels()

    def planned_card(self, config: TrainConfig) -> float:
        """Bytes of the graphics card without which a training refuses to begin; 0 on the processor."""
        largest = self._probe.largest * self._pixels(config) / self._probe_pixels()
        return least_memory(config.max_gaussians, config.sh_degree, int(largest)) if self._probe.engine == "cuda" else 0.0

    @property
    def longest_side(self) -> int:
        """Pixels of the largest photo, as it is stored."""
        return self._probe.longest_side

    def _missing_photos(self, config: TrainConfig) -> float:
        """Share of the photos that are read again for every step, because they cannot be kept."""
        allowed = config.image_memory * GIGABYTE or (self._probe.free - self._probe.idle) / 2
        return 1 - min(1.0, max(0.0, allowed) / max(1.0, self.all_photos(config)))

    def _timing_error(self) -> float:
        """Relative, of all kinds of steps together."""
        kinds = (*self._probe.small.kinds, *self._probe.large.kinds)
        return (sum((kind.error / kind.seconds) ** 2 for kind in kinds) / len(kinds)) ** 0.5 / len(kinds) ** 0.5


def bytes_of_parameters(config: TrainConfig) -> int:
    """Of one Gaussian."""
    return (11 + 3 * (config.sh_degree + 1) ** 2) * FLOAT


def kind_seconds(kinds: tuple[Kind, ...], pixels: float, harmonics: int) -> float:
    """Seconds of a step on so many pixels with so many coefficients of colour, between and beyond those that were timed."""
    plain, *full = kinds
    coloured = full[0].harmonics - 1
    saved = max(0.0, full[0].seconds - plain.seconds) * (full[0].harmonics - harmonics) / coloured if coloured else 0.0
    return max(0.2 * full[0].seconds, on_the_line([(kind.pixels, kind.seconds) for kind in full], pixels) - saved)


def on_the_line(points: list[tuple[float, float]], x: float) -> float:
    """The value at x on the line through points, which goes on beyond them; it never falls."""
    points = [points[0], *(point for before, point in pairwise(points) if point[0] > before[0])]
    if len(points) == 1:
        return points[0][1]
    index = max(1, next((number for number, point in enumerate(points) if point[0] >= x), len(points) - 1))
    (left, low), (right, high) = points[index - 1], points[index]
    return low + max(0.0, high - low) / (right - left) * (x - left)


def refinements_between(config: TrainConfig, begin: int, end: int) -> int:
    """How often the strategy acts from one step to another."""
    first, last = (share * config.planned_steps for share in (config.refine_from, config.refine_until))
    begin, end = (int(min(max(step, first), last)) for step in (begin, end))
    return end // config.refine_every - begin // config.refine_every
