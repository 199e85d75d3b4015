"""How large a camera's frame may be: what files declare may be anything, and is checked before it is allocated."""

LARGEST_FRAME = 1 << 15  # pixels along each side; the largest cameras have half of that


def check_pixels(frame_shape: tuple[int, int]) -> None:
    """Raise ValueError for a frame (H, W) that no camera takes."""
    if not 1 <= min(frame_shape) <= max(frame_shape) <= LARGEST_FRAME:
        height, width = frame_shape
        raise ValueError(f"expected frames of 1 to {LARGEST_FRAME} pixels each way, found {height} x {width}")
