"""Which seeds belong to training, to validation and to the test: ranges that cannot meet."""

from typing import Literal

from medconsist.errors import RefusedInputError

__all__ = ["ROLES", "Role", "draw_seed", "role_of_seed"]

Role = Literal["training", "validation", "test"]
ROLES: tuple[Role, ...] = ("training", "validation", "test")

# torch's generator on a CPU looks at the lower 32 bits of a seed: every range lies below 2**32,
# since seeds that differ above it give the same scan.
ROLE_STRIDE = 2**30
SERIES_STRIDE = 2**16
MOST_SERIES = ROLE_STRIDE // SERIES_STRIDE


def draw_seed(role: Role, number: int, *, series: int = 0) -> int:
    """Return the seed of one simulated scan, ``role * 2^30 + series * 2^16 + number``.

    Two scans of different roles never have one seed, nor have two numbers or two series of one
    role, so that no test scan can have been trained on. Seeds below 2^30 are training: a series of
    ``medconsist mri simulate`` whose own seed is small lies there.

    Parameters
    ----------
    role
        What the scan is for.
    number
        Which scan, 0 to 2^16 - 1.
    series
        Which draw of the whole set, 0 to 2^14 - 1; the ``--seed`` of a command.

    Raises
    ------
    RefusedInputError
        A number out of its range, or another role.
    """
    if role not in ROLES:
        msg = f"role got {role!r}; allowed: {', '.join(map(repr, ROLES))}."
        raise RefusedInputError(msg)
    for name, value, size in (("number", number, SERIES_STRIDE), ("seed", series, MOST_SERIES)):
        if not 0 <= value < size:
            msg = (
                f"{name} got {value}; allowed: 0 to {size - 1}, so that the scans of training, "
                "validation and test never meet. Take a smaller one."
            )
            raise RefusedInputError(msg)
    return ROLES.index(role) * ROLE_STRIDE + series * SERIES_STRIDE + number


def role_of_seed(seed: int) -> Role:
    """Return the role whose range holds a seed.

    Raises
    ------
    RefusedInputError
        The seed lies in no range: negative, or 3 * 2^30 and above.
    """
    if not 0 <= seed < len(ROLES) * ROLE_STRIDE:
        msg = f"seed got {seed}; allowed: 0 to {len(ROLES) * ROLE_STRIDE - 1}."
        raise RefusedInputError(msg)
    return ROLES[seed // ROLE_STRIDE]
