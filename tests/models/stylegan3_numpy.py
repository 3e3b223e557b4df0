"""The StyleGAN3 generator in NumPy and float64, from official arrays and arguments.

It shares no code with the package: filters are SciPy's, zeros are inserted, and every
image is convolved with a kernel of its own.

Reference: Karras et al. 2021, "Alias-Free Generative Adversarial Networks", section 3,
appendices C and F.
"""

import numpy as np
from scipy import signal, special

DEFAULTS = {
    "channel_base": 32768,
    "channel_max": 512,
    "num_layers": 14,
    "num_critical": 2,
    "first_cutoff": 2,
    "first_stopband": 2**2.1,
    "last_stopband_rel": 2**0.3,
    "margin_size": 10,
    "output_scale": 0.25,
    "conv_kernel": 3,
    "filter_size": 6,
    "lrelu_upsampling": 2,
    "use_radial_filters": False,
    "conv_clamp": 256,
}


def synthesize(arrays, kwargs, ws, transform=None):
    """Return images [B,H,W,C] of ws [B,L,W], for a user's transform [3,3]."""
    p = {k: np.asarray(v, np.float64) for k, v in arrays.items()}
    k = DEFAULTS | kwargs
    ws = np.asarray(ws, np.float64)
    n, size = k["num_layers"], k["img_resolution"]
    exponents = [min(i / (n - k["num_critical"]), 1) for i in range(n + 1)]
    cutoffs = [
        k["first_cutoff"] * (size / 2 / k["first_cutoff"]) ** e for e in exponents
    ]
    last = size / 2 * k["last_stopband_rel"]
    stops = [k["first_stopband"] * (last / k["first_stopband"]) ** e for e in exponents]
    rates = [2 ** int(np.ceil(np.log2(min(2 * s, size)))) for s in stops]
    widths = [max(s, r / 2) - c for s, r, c in zip(stops, rates, cutoffs, strict=True)]
    sides = [r + 2 * k["margin_size"] for r in rates[:-2]] + [size, size]
    names = sorted(
        {name.split(".")[1] for name in p if name.startswith("synthesis.L")},
        key=lambda name: int(name[1:].split("_")[0]),
    )
    user = p["synthesis.input.transform"] if transform is None else transform
    x = _fourier(p, ws[:, 0], user, cutoffs[0], rates[0], sides[0])
    for i, name in enumerate(names):
        j, is_rgb = max(i - 1, 0), i == n
        layer = {q.split(".", 2)[2]: v for q, v in p.items() if f".{name}." in q}
        style = _dense(layer, "affine.", ws[:, i + 1])
        x = _modulated(x, layer, style, is_rgb)
        fine = max(rates[i], rates[j]) * (1 if is_rgb else k["lrelu_upsampling"])
        up, down = fine // rates[j], fine // rates[i]
        taps = [k["filter_size"] * f if f > 1 and not is_rgb else 1 for f in (up, down)]
        radial = k["use_radial_filters"] and i < n - k["num_critical"]
        up_filter = _filter(taps[0], cutoffs[j], 2 * widths[j], fine)
        down_filter = _filter(taps[1], cutoffs[i], 2 * widths[i], fine, radial)
        kernel = 1 if is_rgb else k["conv_kernel"]
        total = (sides[i] - 1) * down + 1 - (sides[j] + kernel - 1) * up
        total += sum(taps) - 2
        before = (total + up) // 2
        x = x + layer["bias"][:, None, None]
        x = _upsample(x, up, up_filter * up**2, before, total - before)
        if not is_rgb:
            x = np.where(x < 0, 0.2 * x, x) * np.sqrt(2)
        if k["conv_clamp"] is not None:
            x = np.clip(x, -k["conv_clamp"], k["conv_clamp"])
        x = _convolve(x, down_filter)[..., ::down, ::down]
    return x.transpose(0, 2, 3, 1) * k["output_scale"]


def _dense(p, prefix, x):
    return x @ p[f"{prefix}weight"].T / np.sqrt(x.shape[1]) + p[f"{prefix}bias"]


def _fourier(p, w, user, cutoff, rate, side):
    p = {name.removeprefix("synthesis.input."): v for name, v in p.items()}
    frequencies, phases = p["freqs"], p["phases"]
    images = []
    for t in _dense(p, "affine.", w):
        cos, sin, x, y = t / np.hypot(t[0], t[1])
        rotate = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        translate = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1]])
        m = rotate @ translate @ user
        f = frequencies @ m[:2, :2]
        shift = phases + frequencies @ m[:2, 2]
        strength = 1 - (np.hypot(*f.T) - cutoff) / (rate / 2 - cutoff)
        axis = ((np.arange(side) + 0.5) / side * 2 - 1) * 0.5 * side / rate
        angle = f[:, 0, None, None] * axis + f[:, 1, None, None] * axis[:, None]
        angle = angle + shift[:, None, None]
        waves = np.sin(2 * np.pi * angle) * np.clip(strength, 0, 1)[:, None, None]
        mix = p["weight"] / np.sqrt(len(frequencies))
        images.append(np.tensordot(mix, waves, 1))
    return np.stack(images)


def _modulated(x, p, style, is_rgb):
    """Convolve to every position that meets the image, each image by itself."""
    weight = p["weight"]
    if is_rgb:
        style = style / np.sqrt(weight[0].size)
    else:
        weight = weight / np.sqrt(np.mean(weight**2, (1, 2, 3), keepdims=True))
        style = style / np.sqrt(np.mean(style**2))
    kernels = weight[None] * style[:, None, :, None, None]
    if not is_rgb:
        norm = np.sqrt(np.sum(kernels**2, (2, 3, 4), keepdims=True) + 1e-8)
        kernels = kernels / norm
    kernels = kernels / np.sqrt(p["magnitude_ema"])
    reach = weight.shape[-1] - 1
    x = np.pad(x, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    h, w = (n - reach for n in x.shape[2:])
    return sum(
        np.einsum(
            "boi,bihw->bohw",
            kernels[..., u, v],
            x[..., u : u + h, v : v + w],
            optimize=True,
        )
        for u in range(reach + 1)
        for v in range(reach + 1)
    )


def _filter(taps, cutoff, width, rate, radial=False):
    """Return the filter of both axes, [taps,taps]."""
    if taps == 1:
        return np.ones((1, 1))
    if not radial:
        f = signal.firwin(taps, cutoff, width=width, fs=rate)
        return np.outer(f, f)
    beta = signal.kaiser_beta(signal.kaiser_atten(taps, width / (rate / 2)))
    x = (np.arange(taps) - (taps - 1) / 2) / rate
    r = np.hypot(*np.meshgrid(x, x))
    f = special.j1(2 * np.pi * cutoff * r) / (np.pi * r)
    f = f * np.outer(np.kaiser(taps, beta), np.kaiser(taps, beta))
    return f / f.sum()


def _upsample(x, up, taps, before, after):
    """Insert zeros behind each pixel, pad or crop, and filter."""
    b, c, h, w = x.shape
    fine = np.zeros((b, c, h * up, w * up))
    fine[..., ::up, ::up] = x
    pads = [(0, 0)] * 2 + [(max(before, 0), max(after, 0))] * 2
    fine = np.pad(fine, pads)
    first, last = max(-before, 0), max(-after, 0)
    fine = fine[..., first : fine.shape[2] - last, first : fine.shape[3] - last]
    return _convolve(fine, taps)


def _convolve(x, taps):
    return signal.oaconvolve(x, taps[None, None], mode="valid", axes=(2, 3))
