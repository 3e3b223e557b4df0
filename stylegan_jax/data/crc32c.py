"""The checksum of TFRecord files: CRC-32C, and TensorFlow's mask of it, in NumPy.

The register after a text is linear in the register before and in the text. So the parts
of a long text are worked on side by side, and joined by moving one's register on over
as many zeros as the next is long.
"""

import numpy as np

POLYNOMIAL = 0x82F63B78  # Castagnoli's, lowest bit first
PART_BYTES = 128  # at most so many steps of NumPy, whatever the length
MASK_DELTA = 0xA282EAD8


def _table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(POLYNOMIAL), table >> 1)
    return table


TABLE = _table()
BITS = np.arange(32, dtype=np.uint32)


def masked_crc(content: bytes) -> int:
    """What a TFRecord file stores behind `content`."""
    crc = crc32c(content)
    return ((crc >> 15 | crc << 17) + MASK_DELTA) & 0xFFFFFFFF


def crc32c(content: bytes) -> int:
    """CRC-32C, from 0 to 2^32 - 1."""
    text = np.frombuffer(content, np.uint8)
    if len(text) < 4:
        register = np.array([0xFFFFFFFF], np.uint32)
        return int(_after(register, text[None])[0]) ^ 0xFFFFFFFF
    parts = 1 << (len(text) // PART_BYTES).bit_length()
    length = -(-len(text) // parts)
    padded = np.zeros(parts * length, np.uint8)  # zeros before leave a register of 0
    padded[-len(text) :] = text
    padded[-len(text) :][:4] ^= 0xFF  # as if the register began with ones
    registers = _after(np.zeros(parts, np.uint32), padded.reshape(parts, length))
    moved = _after(np.uint32(1) << BITS, np.zeros([32, length], np.uint8))
    while len(registers) > 1:
        registers = _move(registers[0::2], moved) ^ registers[1::2]
        moved = _move(moved, moved)
    return int(registers[0]) ^ 0xFFFFFFFF


def _after(registers: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """uint32 [N] registers after uint8 [N, length] texts."""
    for column in np.ascontiguousarray(texts.T):
        registers = TABLE[(registers ^ column) & 0xFF] ^ registers >> 8
    return registers


def _move(registers: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Registers after zeros, given uint32 [32], what these make of each bit."""
    bits = registers[:, None] >> BITS & 1
    return np.bitwise_xor.reduce(bits * moved, axis=1)
