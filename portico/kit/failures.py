"""What failures leave behind."""


def let_go(failure: BaseException) -> None:
    """Drop the frames that `failure`, and whatever led to it, came through.

    They hold what the request held, and some of them hold the failure: a ring that only the collector
    would open, and that looks at numbers of objects, never at their size.  Thirty bodies that were
    refused were half a gigabyte.
    """
    seen: list[BaseException] = [failure]
    for each in seen:
        each.__traceback__ = None
        led = (each.__cause__, each.__context__)
        seen += [more for more in led if more is not None and more not in seen]
