"""The geometry of StyleGAN3's layers: cutoffs, sampling rates, sizes and filters.

The table is a pure function of a few numbers, and the networks only read it:

    print(table(Options(), resolution=256, channels=Channels(16384)))

Frequencies are in cycles, and sampling rates in pixels, per unit of length. The image
is one unit wide and high; within the network, it has a margin around it.

Reference: Karras et al. 2021, "Alias-Free Generative Adversarial Networks", sections 3
and 3.2, figure 4c and appendix C.
"""

import dataclasses
import functools
import math

import numpy as np

from stylegan_jax.layers.upfirdn2d import IDENTITY, Pair
from stylegan_jax.models.interface import Channels

MARGIN_LESS = 2  # the outputs of this many last layers have no margin


@dataclasses.dataclass(frozen=True)
class Options:
    """The design of the layers; config R changes the last two.

    Attributes:
      num_layers: N, number of layers between the Fourier features and ToRGB.
      num_critical: number of critically sampled layers at the end, whose cutoff is the
        Nyquist frequency of the image.
      first_cutoff: cutoff frequency of the first layer.
      first_stopband: minimum stopband frequency of the first layer.
      last_stopband_rel: minimum stopband of the last layers, as a multiple of their
        cutoff.
      margin_size: pixels beyond the image on each side.
      filter_size: taps of a filter per pixel of its coarser grid.
      lrelu_upsampling: sampling rate of the nonlinearity, relative to the higher rate
        of the layer's input and output.
      conv_kernel: width of the convolution kernels, 3 or 1.
      use_radial_filters: downsample with radially symmetric filters in the layers that
        are not critically sampled.
    """

    num_layers: int = 14
    num_critical: int = 2
    first_cutoff: float = 2.0
    first_stopband: float = 2**2.1
    last_stopband_rel: float = 2**0.3
    margin_size: int = 10
    filter_size: int = 6
    lrelu_upsampling: int = 2
    conv_kernel: int = 3
    use_radial_filters: bool = False


@dataclasses.dataclass(frozen=True)
class Signal:
    """A feature map between two layers.

    Attributes:
      channels: number of feature maps.
      size: height and width in pixels, including the margin.
      rate: sampling rate.
      cutoff: cutoff frequency.
      half_width: half of the width of the filters' transition band.
    """

    channels: int
    size: int
    rate: int
    cutoff: float
    half_width: float


@dataclasses.dataclass(frozen=True)
class LayerGeometry:
    """One layer: a convolution and a filtered nonlinearity.

    Attributes:
      name: name in the official code.
      before: its input.
      after: its output.
      kernel: width of the convolution kernel.
      up: upsampling factor, from the input's sampling rate to the nonlinearity's.
      down: downsampling factor, from there to the output's sampling rate.
      up_taps: taps of the upsampling filter, on the finer grid; 1 for no filter.
      down_taps: taps of the downsampling filter, on the finer grid; 1 for no filter.
      radial: True if the downsampling filter is radially symmetric.
      is_to_rgb: True for the last layer, which is linear and not demodulated.
    """

    name: str
    before: Signal
    after: Signal
    kernel: int
    up: int
    down: int
    up_taps: int
    down_taps: int
    radial: bool
    is_to_rgb: bool

    @property
    def fine_rate(self) -> int:
        """Sampling rate of the nonlinearity."""
        return self.before.rate * self.up

    @property
    def up_filter(self) -> np.ndarray:
        """The upsampling filter, [up_taps]."""
        s = self.before
        width = 2 * s.half_width
        return lowpass_filter(self.up_taps, s.cutoff, width, self.fine_rate)

    @property
    def down_filter(self) -> np.ndarray:
        """The downsampling filter, [down_taps], or [down_taps,down_taps] if radial."""
        s = self.after
        width = 2 * s.half_width
        return lowpass_filter(
            self.down_taps, s.cutoff, width, self.fine_rate, self.radial
        )

    @property
    def padding(self) -> tuple[Pair, Pair]:
        """Padding of the upsampled output of the convolution; negative values crop.

        The convolution pads by k - 1, so its output is larger than its input.
        """
        total = (self.after.size - 1) * self.down + 1
        total -= (self.before.size + self.kernel - 1) * self.up
        total += self.up_taps + self.down_taps - 2
        before = (total + self.up) // 2
        return ((before, total - before),) * 2


@dataclasses.dataclass(frozen=True)
class Table:
    """The layers of a network.

    Attributes:
      first: the Fourier features.
      layers: all layers, ToRGB last.
    """

    first: Signal
    layers: tuple[LayerGeometry, ...]

    def __str__(self) -> str:
        """Return the table as text, with a line for each layer."""
        head = "layer channels size rate cutoff stopband up down filters padding"
        s = self.first
        rows = [head.split(), ["input", s.channels, s.size, s.rate, s.cutoff, *"-----"]]
        for layer in self.layers:
            s = layer.after
            stopband = f"{s.cutoff + s.half_width:.4g}"
            down = f"{layer.down_taps}{'x' * layer.radial}"
            filters = f"{layer.up_taps}/{down}{layer.down_taps if layer.radial else ''}"
            rows.append([layer.name, s.channels, s.size, s.rate, f"{s.cutoff:.4g}"])
            rows[-1] += [stopband, layer.up, layer.down, filters]
            rows[-1].append("{}/{}".format(*layer.padding[0]))
        widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
        return "\n".join(
            "  ".join(str(c).rjust(w) for c, w in zip(row, widths, strict=True))
            for row in rows
        )


@functools.cache
def table(
    options: Options, resolution: int, channels: Channels, image_channels: int = 3
) -> Table:
    """Return the layers of a generator.

    Cutoffs and stopbands grow geometrically from the first layer to the critically
    sampled ones. The sampling rate of each signal is the lowest power of two that is at
    least twice its stopband, but at most the resolution.

    Args:
      options: the design.
      resolution: R of the images, a power of two.
      channels: base / cutoff feature maps, at most a maximum.
      image_channels: channels of the images.
    """
    o, last = options, resolution / 2
    exponents = np.arange(o.num_layers + 1) / (o.num_layers - o.num_critical)
    exponents = np.minimum(exponents, 1)
    cutoffs = o.first_cutoff * (last / o.first_cutoff) ** exponents
    last_stopband = last * o.last_stopband_rel
    stopbands = o.first_stopband * (last_stopband / o.first_stopband) ** exponents
    rates = 2 ** np.ceil(np.log2(np.minimum(2 * stopbands, resolution)))
    half_widths = np.maximum(stopbands, rates / 2) - cutoffs
    sizes = rates + 2 * o.margin_size
    sizes[-MARGIN_LESS:] = resolution
    widths = np.rint(np.minimum(channels.base / cutoffs, channels.maximum))
    widths[-1] = image_channels
    columns = zip(widths, sizes, rates, cutoffs, half_widths, strict=True)
    signals = [
        Signal(int(c), int(size), int(rate), float(cutoff), float(half_width))
        for c, size, rate, cutoff, half_width in columns
    ]
    before = [signals[0], *signals[:-1]]
    layers = (
        _layer(o, i, *pair) for i, pair in enumerate(zip(before, signals, strict=True))
    )
    return Table(signals[0], tuple(layers))


def _layer(o: Options, i: int, before: Signal, after: Signal) -> LayerGeometry:
    is_to_rgb = i == o.num_layers
    fine = max(before.rate, after.rate) * (1 if is_to_rgb else o.lrelu_upsampling)
    up, down = fine // before.rate, fine // after.rate
    up_taps, down_taps = (
        o.filter_size * factor if factor > 1 and not is_to_rgb else 1
        for factor in (up, down)
    )
    is_critical = i >= o.num_layers - o.num_critical
    return LayerGeometry(
        name=f"L{i}_{after.size}_{after.channels}",
        before=before,
        after=after,
        kernel=1 if is_to_rgb else o.conv_kernel,
        up=up,
        down=down,
        up_taps=up_taps,
        down_taps=down_taps,
        radial=o.use_radial_filters and not is_critical and down_taps > 1,
        is_to_rgb=is_to_rgb,
    )


@functools.cache
def lowpass_filter(
    taps: int, cutoff: float, width: float, rate: float, radial: bool = False
) -> np.ndarray:
    """Return a low-pass filter with a Kaiser window.

    Args:
      taps: number of taps along an axis; 1 for no filter.
      cutoff: frequency at which the gain is one half.
      width: width of the transition band.
      rate: sampling rate of the taps.
      radial: make the filter radially symmetric instead of separable.

    Returns:
      float32 [taps], or [taps,taps] if radial, whose sum is 1.

    Reference: Karras et al. 2021, appendix C.1.
    """
    if taps == 1:
        return IDENTITY
    from scipy import signal, special  # slow to import, and needed only here

    attenuation = signal.kaiser_atten(taps, width / (rate / 2))
    window = np.kaiser(taps, signal.kaiser_beta(attenuation))
    x = (np.arange(taps) - (taps - 1) / 2) / rate
    if radial:
        r = np.hypot(*np.meshgrid(x, x))
        r = np.where(r == 0, 1e-12, r)  # an odd number of taps has one at the origin
        f = special.j1(2 * math.pi * cutoff * r) / (math.pi * r)
        f = f * np.outer(window, window)
    else:
        f = np.sinc(2 * cutoff * x) * window
    return (f / f.sum()).astype(np.float32)
