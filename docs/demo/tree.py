"""Finds the expected spans among those that came, and prints a trace as a tree with times."""

EXPECTED = (
    "storefront",
    "POST /orders",
    "",
    [
        ("warehouse", "GET /credit", "", []),
        ("storefront", "GET /price", "lamp", [("pricing", "GET /weight", "lamp", [])]),
        ("storefront", "GET /price", "desk", [("pricing", "GET /weight", "desk", [])]),
        ("storefront", "GET /depot/north/stock", "chair", []),
        ("storefront", "GET /depot/east/stock", "chair", []),
        ("storefront", "GET /depot/south/stock", "chair", []),
        ("storefront", "POST /depot/north/reserve", "chair", []),
    ],
)
"""What one order must make: service, request, article, and what is made on its behalf."""

COLOURS = {"storefront": "36", "warehouse": "33", "pricing": "35"}
BAR_WIDTH = 24


def expected_count(node=EXPECTED):
    return 1 + sum(expected_count(child) for child in node[3])


def find(order, spans):
    """The spans of one order that are where they belong: right service, request, order number, trace
    and parent, each exactly once."""
    by_parent = {}
    for span in spans:
        if span.parameter("order") == str(order):
            by_parent.setdefault((span.trace_id, span.parent_id), []).append(span)

    def match(node, parent):
        service, label, sku, children = node
        if parent:
            candidates = by_parent.get((parent.trace_id, parent.span_id), [])
        else:
            candidates = [
                s for (_, parent_id), found in by_parent.items() if not parent_id for s in found
            ]
        same = [
            s
            for s in candidates
            if (s.service, s.label(), s.parameter("sku")) == (service, label, sku)
        ]
        if len(same) != 1:
            return []
        return same + [found for child in children for found in match(child, same[0])]

    return match(EXPECTED, None)


class Printer:
    def __init__(self, colour):
        self.colour = colour

    def paint(self, code, text):
        return f"\033[{code}m{text}\033[0m" if self.colour else text

    def tree(self, spans):
        """Prints all spans of one trace, each below its parent, in order of time."""
        ids = {span.span_id for span in spans}
        children = {}
        for span in sorted(spans, key=lambda s: s.start_ns):
            parent = span.parent_id if span.parent_id in ids else ""
            children.setdefault(parent, []).append(span)
        begin = min(span.start_ns for span in spans)
        total = max(span.end_ns for span in spans) - begin
        services = len({span.service for span in spans})
        print(
            f"trace {spans[0].trace_id}  {len(spans)} spans, {services} processes, "
            f"{total / 1e6:.1f} ms\n"
        )
        for root in children.get("", []):
            self.branch(root, children, begin, total, "", "")

    def branch(self, span, children, begin, total, lead, below):
        self.line(span, lead, begin, total)
        mine = children.get(span.span_id, [])
        for child in mine:
            last = child is mine[-1]
            self.branch(
                child,
                children,
                begin,
                total,
                below + ("└─ " if last else "├─ "),
                below + ("   " if last else "│  "),
            )

    def line(self, span, lead, begin, total):
        colour = COLOURS.get(span.service, "37")
        sku = span.parameter("sku")
        text = f"{span.label()}{' ' + sku if sku else ''}"
        status = str(span.attributes.get("http.response.status_code", "-"))
        gap = " " * max(1, 53 - len(lead) - 11 - len(text))
        first = int((span.start_ns - begin) * BAR_WIDTH / total)
        width = max(1, round((span.end_ns - span.start_ns) * BAR_WIDTH / total))
        width = min(width, BAR_WIDTH - first)
        bar = " " * first + "━" * width + " " * (BAR_WIDTH - first - width)
        print(
            f"{self.paint('2', lead)}{self.paint(colour, f'{span.service:11}')}{text}{gap}"
            f"{self.paint('31' if span.failed else '32', f'{status:>3}')}  {self.paint(colour, bar)} "
            f"{(span.start_ns - begin) / 1e6:+6.1f} {(span.end_ns - span.start_ns) / 1e6:6.1f} ms"
        )
