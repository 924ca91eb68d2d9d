"""Tables, figure and verdicts of a benchmark, from the lines of JSON that its parts print."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

Line = dict[str, Any]
NAMES = {
    "client": "bare p4p client",
    "pvapy": "pvapy Hdf5AdImageWriter",
    "raw": "this service, no correction",
    "full": "this service, everything on",
    "zmq_client": "bare pyzmq loop",
    "zmq_full": "this service over ADZMQ, everything on",
}
WATCHED = {"watched": "this service, everything on, all faces open"}
LIVE = "live: sustained with more offered than is carried; medians of the rounds, lost and unaccounted are sums"
THREADS_SHOWN = 7


def case_of(line: Line) -> str:
    """What the detector sends and what is kept of it, in words."""
    words = f"{line['size']}²"
    if line["crop"] != line["size"]:
        words += f" to {line['crop']}², {line['per_position']} a position"
    return words if line["codec"] == "none" else f"{words} {line['codec']}"


def cases(lines: list[Line]) -> dict[str, dict[str, list[Line]]]:
    """The measurements by case and contender."""
    found: dict[str, dict[str, list[Line]]] = {}
    for line in lines:
        if "who" in line:
            found.setdefault(case_of(line), {}).setdefault(line["who"], []).append(line)
    return found


def middle(lines: list[Line], key: str) -> float:
    return median(line[key] for line in lines)


def threads(lines: list[Line]) -> str:
    """CPU time of a frame by thread, the medians of the rounds, the largest first."""
    names = {name.rstrip("0123456789") for line in lines for name in line["cpu_us_by_thread"]}
    medians = {
        name: median(
            sum(us for thread, us in line["cpu_us_by_thread"].items() if thread.rstrip("0123456789") == name)
            for line in lines
        )
        for name in names
    }
    largest = sorted(medians.items(), key=lambda item: -item[1])[:THREADS_SHOWN]
    return " · ".join(f"{name} {us:.0f}" for name, us in largest if us >= 1.0)


def table_of_live(lines: list[Line], title: str = LIVE) -> Table:
    """Each contender's median in each case; ratios to pvapy and to the bare client of the same case."""
    table = Table(title=title, title_justify="left")
    for column in ("frame", "who", "offered/s", "sustained/s", "/ pvapy", "/ client", "lost", "unaccounted"):
        table.add_column(column, justify="left" if column in ("frame", "who") else "right")
    for column in ("CPU/frame", "source", "peak", "written", "disk"):
        table.add_column(column, justify="right")
    disk = [line["disk_MB_per_s"]["disk"] for line in lines if "disk_MB_per_s" in line]
    for case, contenders in cases(lines).items():
        sustained = {who: middle(rounds, "sustained_hz") for who, rounds in contenders.items()}
        for who, rounds in contenders.items():
            at_least = "" if all(line["is_beyond"] for line in rounds) else "≥ "
            ratios = (
                f"{sustained[who] / sustained[other]:.2f}" if other in sustained and other != who else "–"
                for other in ("pvapy", "client")
            )
            table.add_row(
                case,
                (NAMES | WATCHED)[who],
                f"{middle(rounds, 'offered_hz'):.0f}",
                f"{at_least}{sustained[who]:.0f}",
                *ratios,
                str(sum(line["lost"] for line in rounds)),
                str(sum(line["unaccounted"] for line in rounds)) if "unaccounted" in rounds[0] else "–",
                f"{middle(rounds, 'cpu_us_per_frame'):.0f} µs",
                f"{middle(rounds, 'source_us_per_frame'):.0f} µs",
                f"{max(line['peak_MiB'] for line in rounds):.0f} MiB",
                f"{middle(rounds, 'MB_per_s'):.0f} MB/s",
                f"{median(disk):.0f} MB/s" if disk else "–",
            )
        table.add_section()
    return table


def table_of_threads(lines: list[Line]) -> Table:
    """Where the CPU time of a frame goes, by thread."""
    table = Table(title="live: CPU time of a frame by thread, µs, medians", title_justify="left")
    for column in ("frame", "who", "all", "by thread"):
        table.add_column(column, justify="right" if column == "all" else "left")
    for case, contenders in cases(lines).items():
        for who, rounds in contenders.items():
            table.add_row(case, NAMES[who], f"{middle(rounds, 'cpu_us_per_frame'):.0f}", threads(rounds))
        table.add_section()
    return table


def table_of_lines(part: str, lines: list[Line]) -> Table:
    """The lines of any other part as they are; a line of lines is a row for each."""
    lines = [row for line in lines for row in _rows(line)]
    keys = list(dict.fromkeys(key for line in lines for key in line))
    table = Table(title=part, title_justify="left")
    for key in keys:
        table.add_column(key.replace("_", " "), justify="right")
    for line in lines:
        table.add_row(*(_cell(line.get(key, "–")) for key in keys))
    return table


def _rows(line: Line, path: str = "") -> Iterator[Line]:
    if line and all(isinstance(value, dict) for value in line.values()):
        for name, inner in line.items():
            yield from _rows(inner, f"{path} {name}".strip())
    else:
        yield {"what": path} | line if path else line


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return ", ".join(map(_cell, value)) if isinstance(value, list) else str(value)


def figure(lines: list[Line], path: Path) -> None:
    """Sustained rate and CPU time of a frame, case by case: medians of the rounds, with the least and the most."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    found = cases(lines)
    panels, axes = pyplot.subplots(1, 2, figsize=(5 + 2 * len(found), 5), layout="constrained")
    for axis, key, label in (
        (axes[0], "sustained_hz", "frames per second, sustained\n▲: at least, the source was the limit"),
        (axes[1], "cpu_us_per_frame", "CPU time of a frame, µs\nmedians of the rounds, with the least and the most"),
    ):
        for number, (who, name) in enumerate(NAMES.items()):
            for place, contenders in enumerate(found.values()):
                if who not in contenders:
                    continue
                values = [line[key] for line in contenders[who]]
                middle_value = median(values)
                is_bound = key == "sustained_hz" and not all(line["is_beyond"] for line in contenders[who])
                axis.errorbar(
                    place + 0.12 * (number - (len(NAMES) - 1) / 2),
                    middle_value,
                    [[middle_value - min(values)], [max(values) - middle_value]],
                    fmt="^" if is_bound else "o",
                    color=f"C{number}",
                    capsize=3,
                )
            axis.plot([], [], "o", color=f"C{number}", label=name)
        axis.set_xticks(range(len(found)), found, rotation=20, ha="right")
        axis.set_xlim(-0.5, len(found) - 0.5)
        axis.set_title(label, fontsize="medium")
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        axis.yaxis.set_major_formatter(ScalarFormatter())
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.grid(axis="y", alpha=0.3)
    panels.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    panels.savefig(path, dpi=120)
    pyplot.close(panels)


def verdicts(found: dict[str, list[Line]]) -> Iterator[tuple[str, bool]]:
    """What the project sets itself, each with what was measured."""
    for case, contenders in cases(found.get("live", [])).items():
        sustained = {who: middle(rounds, "sustained_hz") for who, rounds in contenders.items()}
        lines = [line for rounds in contenders.values() for line in rounds if "unaccounted" in line]
        if lines:
            missing = sum(line["unaccounted"] for line in lines)
            yield f"{case}: {missing} frames unaccounted for, of {sum(line['offered'] for line in lines)}", not missing
        for who, other, limit in (("full", "pvapy", 1.0), ("raw", "pvapy", 1.2)):
            if case == "256²" and who in sustained and other in sustained:
                ratio = sustained[who] / sustained[other]
                yield f"{case}: {NAMES[who]} sustains {ratio:.2f} × {NAMES[other]} (at least {limit:g})", ratio >= limit
        if case == "256²" and "zmq_full" in sustained and "zmq_client" in sustained:
            ratio = sustained["zmq_full"] / sustained["zmq_client"]
            yield (
                f"{case}: {NAMES['zmq_full']} sustains {ratio:.2f} × {NAMES['zmq_client']} (at least 0.6)",
                ratio >= 0.6,
            )
        if case == "128²" and "full" in sustained and "client" in sustained:
            ratio, rate = sustained["full"] / sustained["client"], sustained["full"]
            yield (
                f"{case}: {NAMES['full']} sustains {rate:.0f}/s, {ratio:.2f} × {NAMES['client']} (6,000/s or 0.7)",
                rate >= 6000 or ratio >= 0.7,
            )
    for line in found.get("kernel", []):
        ratio = line["1024"]["1 per row"]["ratio"]
        yield f"kernel at 1024²: {ratio:.2f} × reading the raw and writing the stored frame (at most 1.5)", ratio <= 1.5
    for line in found.get("offline", []):
        if "ratio" in line:
            what = f"ingest of {line.get('case', 'uint32')}"
            yield f"{what} takes {line['ratio']:.2f} × a plain copy (at most 1.5)", line["ratio"] <= 1.5
            yield f"{what} takes {line['peak_MiB']:.0f} MiB (at most 600)", line["peak_MiB"] <= 600
    for line in found.get("latency", []):
        if "p99_ms" in line:
            is_after_row, is_of_all = line["what"].endswith("after the row is read"), line["where"].startswith("all")
            if is_after_row and not is_of_all:
                continue  # the first judgements of a run renew its basis, and take longer
            most_ms = 50 if is_after_row else 250
            yield (
                f"{line['frame']}, {line['where']}: {line['what']} after {line['p99_ms']:.0f} ms (99 %; < {most_ms})",
                line["p99_ms"] < most_ms,
            )
        if "end_s" in line:
            yield f"{line['frame']}, {line['where']}: {line['end_s']:.2f} s (< 1)", line["end_s"] < 1
    for case, services in cases(found.get("faces", [])).items():
        rates = {who: middle(rounds, "sustained_hz") for who, rounds in services.items()}
        offered = {who: middle(rounds, "asked_hz") for who, rounds in services.items()}
        lost = sum(line["lost"] + line["unaccounted"] for line in services["watched"])
        share = min(1.0, rates["watched"] / min(rates["full"], offered["full"]))
        yield f"{case} at {offered['watched']:.0f} Hz, all faces open: {lost} frames lost", not lost
        yield f"{case}: {share:.3f} of the rate without them (at least 0.95)", share >= 0.95
    for line in found.get("overload", []):
        is_named = line["lost"] == line["lost_and_named"] and not line["unaccounted"] + line["ids_without_account"]
        yield f"overload: {line['lost']} of {line['exposed']} frames lost, each named", is_named
        yield (
            f"overload: Stop answered after {line['stop_answered_s']:.2f} s (at most 0.5)",
            line["stop_answered_s"] <= 0.5,
        )
    for line in found.get("evaluate", []):
        ratio, peak_MiB = line["reference_over_evaluate"], line["peak_MiB"]
        yield (
            f"evaluate of {line['frames']}: {ratio:.1f} × as fast as measuring by plain numpy (at least 5)",
            ratio >= 5,
        )
        yield f"evaluate of {line['frames']}: {peak_MiB:.0f} MiB (at most 600)", peak_MiB <= 600
    for line in found.get("quality", []):
        yield from verdicts_on_quality(line)


def verdicts_on_quality(line: Line) -> Iterator[tuple[str, bool]]:
    """Areas under the ROC curve, precision at the true number of faults, and sound rows that are rejected."""
    for case, found in line.items():
        if "auc" in found:
            least = 0.97 if case == "real" else 0.99
            worst_kind = min(found["auc_by_kind"].values())
            yield f"{case}: ROC-AUC {found['auc']:.4f} (at least {least})", found["auc"] >= least
            yield f"{case}: {worst_kind:.3f} for the worst kind of fault (at least 0.95)", worst_kind >= 0.95
            hits = found["precision_at_true_number"]
            yield f"{case}: precision and recall {hits:.3f} at the true number (at least 0.9)", hits >= 0.9
        elif "mean" in found:
            share = found["mean"]
            yield f"{case} {100 * share:.2f} % (at most 0.5 %)", share <= 0.005
