"""What the runs add up to: percentiles, verdicts, a table for people, JSON, a plot."""

import html
import math
import re

from kinds import MOVE, STAY

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
# How far above the computed worst case a 99th percentile may be: network time and jitter.
ALLOWED_FACTOR, ALLOWED_SECONDS = 1.2, 0.1


def seconds(text):
    """`1m2.5s` as a number."""
    return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)(ms|s|m|h)", text))


def worst_cases(explained):
    """What `understudy explain` says of one service, by our names; what it does not say is missing."""
    found = {}
    for name, sentence in (("dead", "killed active is left"), ("hung", "hung one is left")):
        line = next((line for line in explained.splitlines() if sentence in line), "")
        said = re.search(r"left after (?:about|at most) ((?:[\d.]+(?:ms|s|m|h))+)", line)
        quiet = re.search(r"without traffic after (?:about|at most) ((?:[\d.]+(?:ms|s|m|h))+)", line)
        if said:
            found[name] = seconds(said.group(1))
        if quiet:
            found[f"{name}_quiet"] = seconds(quiet.group(1))
    return found


def percentile(values, part):
    """By nearest rank; of twenty values the 99th percentile is the greatest."""
    ordered = sorted(values)
    return ordered[math.ceil(part * len(ordered)) - 1] if ordered else None


def judge(kind, worst, runs, gap):
    """One kind's figures, and what is wrong with them, in words. `gap`: from one request to the next; with
    traffic the worst case counts from the first request that meets the fault."""
    detected = [run["detected"] for run in runs if run["detected"] is not None]
    answered = [run["answered"] for run in runs if run["answered"] is not None]
    figures = {
        "kind": kind.name, "words": kind.words, "expect": kind.expect, "worst": worst,
        "detected": len(detected), "p50": percentile(detected, 0.5), "p99": percentile(detected, 0.99),
        "answered_p50": percentile(answered, 0.5), "answered_p99": percentile(answered, 0.99),
        "false": sum(run["false"] for run in runs), "failed": sum(run["failed"] for run in runs), "runs": runs,
        "probes": {
            verdict: sum(run["probes"].get(verdict, 0) for run in runs) for verdict in ("pass", "fail", "inconclusive")
        },
    }
    wrong = []
    if kind.expect in (MOVE, STAY) and figures["false"]:
        wrong.append(f"{figures['false']} false failovers")
    if kind.expect == MOVE and len(detected) < len(runs):
        wrong.append(f"{len(runs) - len(detected)} of {len(runs)} faults were not found")
    if kind.expect == MOVE and worst is not None and detected:
        allowed = (worst + (gap if kind.traffic and not kind.worst.endswith("_quiet") else 0)) * ALLOWED_FACTOR + ALLOWED_SECONDS
        if figures["p99"] > allowed:
            wrong.append(f"p99 is {text_of(figures['p99'])}, at most {text_of(allowed)} would do")
    figures["wrong"] = wrong
    return figures


def unmeasured(kind, why):
    """Of a kind that could not be measured."""
    return judge(kind, None, [], 0) | {"wrong": [why]}


def text_of(value):
    return "-" if value is None else f"{value:.2f} s"


HEAD = ["kind", "runs", "detected", "p50", "p99", "worst case", "first answer p50", "p99", "failed requests",
        "false failovers"]


def table(all_figures):
    rows = [HEAD, ["---"] + ["---:"] * (len(HEAD) - 1)]
    for figures in all_figures:
        moves = figures["expect"] == MOVE
        rows.append([
            figures["words"], str(len(figures["runs"])), str(figures["detected"]) if moves else "-",
            text_of(figures["p50"]) if moves else "-", text_of(figures["p99"]) if moves else "-",
            text_of(figures["worst"]), text_of(figures["answered_p50"]) if moves else "-",
            text_of(figures["answered_p99"]) if moves else "-", str(figures["failed"]), str(figures["false"]),
        ])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def plot(all_figures):
    """Every detection time as a dot, every computed worst case as a line; SVG."""
    shown = [figures for figures in all_figures if figures["expect"] == MOVE]
    row, left, width, top = 26, 230, 620, 34
    greatest = max([run["detected"] or 0 for figures in shown for run in figures["runs"]] + [1])
    greatest = math.ceil(max([greatest] + [figures["worst"] or 0 for figures in shown]) * 2) / 2
    height = top + row * len(shown) + 40
    at = lambda value: left + value / greatest * width  # noqa: E731
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 30}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{left}" y="18">from the fault to the decision; the bar is the worst case of '
        "<tspan font-family=\"monospace\">understudy explain</tspan></text>",
    ]
    for half in range(int(greatest * 2) + 1):
        x, bottom = at(half / 2), top + row * len(shown)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}" stroke="#ddd"/>')
        if half % 2 == 0 or greatest <= 3:
            parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{half / 2:g} s</text>')
    for number, figures in enumerate(shown):
        middle = top + row * number + row / 2
        words = html.escape(figures["words"])
        parts.append(f'<text x="{left - 10}" y="{middle + 4:.1f}" text-anchor="end">{words}</text>')
        if figures["worst"] is not None:
            x = at(figures["worst"])
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{middle - 9:.1f}" y2="{middle + 9:.1f}" '
                'stroke="#c33" stroke-width="2"/>'
            )
        for run in figures["runs"]:
            if run["detected"] is not None:
                parts.append(
                    f'<circle cx="{at(run["detected"]):.1f}" cy="{middle:.1f}" r="4" fill="#27c" fill-opacity="0.35"/>'
                )
    parts.append("</svg>\n")
    return "\n".join(parts)
