"""The ledger as one would keep it on paper: no batches, no rows, one item after the other."""

from dataclasses import dataclass, field


@dataclass
class Page:
    """An account."""

    floor: int | None
    turn: tuple[int, int, str]
    """Where it stands in line: priority, expiry, name."""
    posted: int = 0
    held: int = 0

    @property
    def left(self) -> int:
        return 10**30 if self.floor is None else self.posted - self.held - self.floor


@dataclass
class Book:
    pages: dict[str, Page] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    """Funding accounts to organisations."""
    opened: dict[str, dict[str, int]] = field(default_factory=dict)
    amounts: dict[str, int] = field(default_factory=dict)
    """By request: what it holds; it stays when the hold has ended."""
    known: set[str] = field(default_factory=set)
    """Posting ids."""

    def open_windows(self, caps: dict[str, int]) -> None:
        for name, cap in caps.items():
            self.pages.setdefault(name, Page(-cap, (0, 0, name)))

    def hold(self, request: str, owner: str, nano: int, caps: dict[str, int], now: int) -> bool:
        if not self._set_aside(request, owner, nano, caps, now):
            return False
        self.amounts[request] = nano
        return True

    def extend(self, request: str, nano: int, caps: dict[str, int], now: int) -> bool | None:
        if request not in self.opened:
            return None
        more = nano - self.amounts[request]
        owner = next(self.owners[name] for name in self.opened[request] if name in self.owners)
        if more > 0:
            if not self._set_aside(request, owner, more, caps, now):
                return False
            self.amounts[request] = nano
        return True

    def settle(self, request: str, net: int | None) -> tuple[int, int] | None:
        """(charged, absorbed); net None: a void."""
        parts = self.opened.pop(request, None)
        if parts is None:
            return None
        charged = 0
        for name, part in parts.items():
            self.pages[name].held -= part
            if name in self.owners:
                share = min(part, (net or 0) - charged)
                self.pages[name].posted -= share
                charged += share
        for name, part in parts.items():
            if name not in self.owners:
                self.pages[name].posted -= min(part, charged)
        absorbed = (net or 0) - charged
        self.pages["revenue"].posted += charged + absorbed
        self.pages["absorbed_overrun"].posted -= absorbed
        return charged, absorbed

    def post(self, moves: list[tuple[str, str, int]]) -> list[bool] | None:
        """(id, account, nano) each, against cash_clearing; None: nothing moves."""
        new: dict[str, tuple[str, int]] = {}
        answers = []
        for name, account, nano in moves:
            answers.append(name not in self.known and name not in new)
            if answers[-1]:
                new[name] = (account, nano)
        total: dict[str, int] = {}
        for account, nano in new.values():
            total[account] = total.get(account, 0) + nano
        if any(self.pages[account].left + nano < 0 for account, nano in total.items() if nano):
            return None
        for account, nano in total.items():
            self.pages[account].posted += nano
            self.pages["cash_clearing"].posted -= nano
        self.known |= new.keys()
        return answers

    def set_floor(self, account: str, floor: int) -> int | None:
        page = self.pages.get(account)
        if page is None:
            return None
        page.floor = min(floor, page.posted - page.held)
        return page.floor

    def _set_aside(
        self, request: str, owner: str, nano: int, caps: dict[str, int], now: int
    ) -> bool:
        funds = [self.pages[name] for name, whose in self.owners.items() if whose == owner]
        usable = sorted((p for p in funds if p.turn[1] > now), key=lambda page: page.turn)
        for name, cap in caps.items():
            page = self.pages[name]
            if min(page.left, cap + page.posted - page.held) < nano:
                return False
        if sum(max(0, page.left) for page in usable) < nano:
            return False
        takes = [(name, nano) for name in caps]
        for page in usable:
            takes.append((page.turn[2], min(nano, max(0, page.left))))
            nano -= takes[-1][1]
        parts = self.opened.setdefault(request, {})
        for name, taken in takes:
            if taken:
                self.pages[name].held += taken
                parts[name] = parts.get(name, 0) + taken
        return True
