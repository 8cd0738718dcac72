"""The cohort: where the cases came from, what they hold, and example slices, one per source or category."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freetumor.core.config import Config
from freetumor.core.labels import class_codes, tumor_of
from freetumor.core.tables import CASES, QUARANTINE, read_table
from freetumor.evaluation.sheets.archive import Sheet, read_sheet
from freetumor.evaluation.sheets.tables import COHORT_PICTURES, COHORT_SHEET
from freetumor.figures import style, volumes
from freetumor.figures.captions import Facts, caption
from freetumor.figures.contents import CONTENTS
from freetumor.figures.flow import Flow, participant_flow

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

PER_ROW = 3  # example slices side by side


def plot_cohort(config: Config, cases: str | Path, quarantine: str | Path, examples: str | Path, output: str | Path) -> None:
    """Draw the cohort of a study.

    Args:
        config: the study.
        cases: table of ``core.tables.CASES``.
        quarantine: table of ``core.tables.QUARANTINE``.
        examples: table of ``evaluation.sheets.tables.COHORT_SHEET``, with its pictures beside it.
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    table = read_table(cases, CASES)
    flow = participant_flow(table, read_table(quarantine, QUARANTINE))
    sheet = read_sheet(examples, COHORT_SHEET, COHORT_PICTURES)
    rows = -(-len(sheet.table) // PER_ROW)
    titles = ("Flow of cases", "Cases by source", CONTENTS[config.task].title, "Native voxel spacing")
    with style.styled():
        figure = style.new_figure(style.DOUBLE, 88 + 52 * rows)
        grid = figure.add_gridspec(2 + rows, 1, height_ratios=[38, 50] + [52] * rows)
        top = grid[0].subgridspec(1, 2, width_ratios=[1.25, 1])
        middle = grid[1].subgridspec(1, 2, width_ratios=[1.25, 1])
        panels = [figure.add_subplot(cell) for cell in (top[0], top[1], middle[0], middle[1])]
        for axes, letter, text in zip(panels, "abcd", titles, strict=True):
            style.title(axes, letter, text)
        _draw_flow(panels[0], flow)
        _draw_sources(panels[1], config, table)
        _draw_lesion_sizes(panels[2], config, table)
        _draw_spacings(panels[3], config, table)
        for index in range(rows * PER_ROW):
            if index % PER_ROW == 0:
                cells = grid[2 + index // PER_ROW].subgridspec(1, PER_ROW)
            axes = figure.add_subplot(cells[index % PER_ROW])
            axes.set_axis_off()
            if index < len(sheet.table):
                _draw_example(axes, config, sheet, index)
        style.save(figure, output, cohort_numbers(config, table, flow), caption("cohort", Facts(config, flow)))


def cohort_numbers(config: Config, table: "pd.DataFrame", flow: Flow) -> "pd.DataFrame":
    """Every number of the figure: ``panel source group case_id value value_2``."""
    import pandas as pd

    rows = [("flow", "", step, "", count, None) for step, count in flow.rows()]
    rows += [("cases", source, kind, "", count, None) for source, kind, count in source_counts(config, table)]
    contents = CONTENTS[config.task]
    rows += [
        (contents.size, row.source, row.group, row.case_id, getattr(row, contents.size), None)
        for row in contents.sized(table).itertuples()
    ]
    rows += [
        ("spacing_mm", row.source, "slice distance, pixel", row.case_id, row.slice_mm, row.pixel_mm)
        for row in spacing_rows(table).itertuples()
    ]
    return pd.DataFrame(rows, columns=["panel", "source", "group", "case_id", "value", "value_2"])


def source_counts(config: Config, table: "pd.DataFrame") -> list[tuple[str, str, int]]:
    """Cases per source and kind: (source, kind, count)."""
    contents = CONTENTS[config.task]
    kinds = contents.kind(table)
    return [
        (source, kind, int(((table["source"] == source) & (kinds == kind)).sum()))
        for source in _sources(config, table)
        for kind in contents.kinds(config)
    ]


def spacing_rows(table: "pd.DataFrame") -> "pd.DataFrame":
    """Native spacing: ``source case_id slice_mm pixel_mm``."""
    spacing = [json.loads(text) for text in table["native_spacing"]]
    return table[["source", "case_id"]].assign(slice_mm=[s[0] for s in spacing], pixel_mm=[s[2] for s in spacing])


def _sources(config: Config, table: "pd.DataFrame") -> list[str]:
    return style.ordered(table["source"], [source.name for source in config.sources])


def _draw_flow(axes: "Axes", flow: Flow) -> None:
    """Boxes from left to right: entered, used, and the three roles; below, who left and why."""
    axes.set(xlim=(0, 100), ylim=(0, 100))
    axes.set_axis_off()
    lost = [("quarantined", flow.quarantined), *flow.excluded.items()]
    shown = lost if len(lost) <= 4 else [*lost[:3], ("other reasons", sum(count for _, count in lost[3:]))]
    _box(axes, (0, 62, 25, 24), f"{flow.raw:,}", "entered", style.FAINT)
    _box(axes, (37, 62, 25, 24), f"{flow.analyzed:,}", "used", style.FAINT)
    _arrow(axes, (25, 74), (37, 74))
    _arrow(axes, (31, 74), (31, 48))
    axes.text(
        31,
        44,
        "\n".join(f"{reason}: {count:,}" for reason, count in shown),
        ha="center",
        va="top",
        color=style.MUTED,
        fontsize=6.5,
        linespacing=1.4,
    )
    ends = (("development", flow.development), ("pool", flow.pool), ("external", flow.external))
    for (name, count), low, color in zip(ends, (74, 40, 6), (style.CYCLE[2], style.FAINT, style.CYCLE[3]), strict=True):
        _box(axes, (75, low, 25, 24), f"{count:,}", name, color)
        axes.plot([62, 68.5, 68.5], [74, 74, low + 12], color=style.MUTED, linewidth=0.7, solid_joinstyle="miter")
        _arrow(axes, (68.5, low + 12), (75, low + 12))


def _box(axes: "Axes", box: tuple[float, float, float, float], count: str, name: str, color: str) -> None:
    from matplotlib.patches import Rectangle

    left, bottom, width, height = box
    axes.add_patch(Rectangle((left, bottom), width, height, facecolor="white", edgecolor=color, linewidth=1.2, clip_on=False))
    axes.text(left + width / 2, bottom + 0.66 * height, count, ha="center", va="center", fontsize=8.5, fontweight="bold")
    axes.text(left + width / 2, bottom + 0.24 * height, name, ha="center", va="center", fontsize=6.5)


def _arrow(axes: "Axes", start: tuple[float, float], end: tuple[float, float]) -> None:
    look = {"arrowstyle": "-|>,head_width=0.16,head_length=0.3", "color": style.MUTED, "linewidth": 0.7}
    axes.annotate("", end, start, arrowprops=look | {"shrinkA": 0, "shrinkB": 0})


def _draw_sources(axes: "Axes", config: Config, table: "pd.DataFrame") -> None:
    sources = _sources(config, table)
    if not sources:
        return style.say_empty(axes, "no cases")
    counts = {(source, kind): count for source, kind, count in source_counts(config, table)}
    left = np.zeros(len(sources))
    for kind, color in CONTENTS[config.task].kinds(config).items():
        width = np.array([counts[source, kind] for source in sources])
        if width.sum():
            axes.barh(range(len(sources)), width, left=left, height=0.6, color=color, label=kind)
        left += width
    for position, total in enumerate(left):
        axes.annotate(f"{int(total):,}", (total, position), (3, 0), textcoords="offset points", va="center", fontsize=6.5)
    axes.set(yticks=range(len(sources)), yticklabels=[style.readable(name) for name in sources], xlim=(0, 1.12 * left.max()))
    axes.set_ylim(len(sources) - 0.5, -0.5)
    axes.locator_params(axis="x", integer=True, nbins=5)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return axes.legend(loc="upper left", bbox_to_anchor=(0, -0.16), ncols=3, handletextpad=0.5, columnspacing=1.2)


def _draw_lesion_sizes(axes: "Axes", config: Config, table: "pd.DataFrame") -> None:
    contents = CONTENTS[config.task]
    rows = contents.sized(table)
    if rows.empty:
        return style.say_empty(axes, "no annotated tumors")
    groups = style.ordered(rows["group"], contents.groups(config))
    for position, group in enumerate(groups):
        values = np.sort(rows.loc[rows["group"] == group, contents.size].to_numpy())
        offset = 0.26 * style.spread(len(values), f"cohort {group}")
        axes.plot(
            values, position + offset, "o", color=contents.color(config, group), markersize=2.6, alpha=0.6, markeredgewidth=0
        )
        middle = float(np.median(values))
        axes.plot([middle, middle], [position - 0.36, position + 0.36], color=style.INK, linewidth=1.4)
        axes.annotate(
            f"n = {len(values)}",
            (1.0, position),
            (2, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=6.5,
            color=style.MUTED,
        )
    axes.set(xscale="log", yticks=range(len(groups)), yticklabels=[style.readable(group) for group in groups])
    axes.set(xlabel=contents.label, ylim=(len(groups) - 0.5, -0.5))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    low, high = axes.get_xlim()
    few_decades = high / low < 30  # then 1, 2 and 5 of each decade have room for a number
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if few_decades and f"{value:e}"[0] in "25" else "")
    axes.grid(axis="x")
    return axes.tick_params(axis="y", length=0)


def _draw_spacings(axes: "Axes", config: Config, table: "pd.DataFrame") -> None:
    rows = spacing_rows(table)
    if rows.empty:
        return style.say_empty(axes, "no cases")
    sources = _sources(config, rows)
    markers = style.arm_markers(sources)
    for index, source in enumerate(sources):
        here = rows[rows["source"] == source]
        color = style.CYCLE[index % len(style.CYCLE)]
        axes.plot(
            here["pixel_mm"],
            here["slice_mm"],
            markers[source],
            color=color,
            markersize=3,
            alpha=0.7,
            markeredgewidth=0,
            label=style.readable(source),
        )
    axes.set(xlabel="pixel size (mm)", ylabel="slice distance (mm)")
    axes.margins(0.08)
    axes.set_ylim(bottom=0)
    axes.grid()
    return axes.legend(loc="upper left", bbox_to_anchor=(1, 1), handletextpad=0.2)


def _draw_example(axes: "Axes", config: Config, sheet: Sheet, index: int) -> None:
    row, image, label = sheet.table.iloc[index], *(sheet.pictures[name][index] for name in COHORT_PICTURES)
    spacing = (row["spacing_y"], row["spacing_x"])
    axes.set_axis_on()
    volumes.show_slice(axes, image, spacing, config.working.window)
    axes.set_anchor("NW")
    codes = class_codes(config.organs)
    for organ, color in style.organ_colors(config.organs).items():
        tumor = label == codes[tumor_of(organ)]
        # The tumor belongs to its organ, so that the organ's outline runs around it.
        volumes.outline(axes, tumor | (label == codes[organ]), spacing, color)
        volumes.outline(axes, tumor, spacing, style.TUMOR)
    volumes.scale_bar(axes, CONTENTS[config.task].scale_mm)
    axes.set_title(style.readable(row["name"]), fontsize=7)
    if index == 0:
        style.title(axes, "e", style.readable(row["name"]))
        _contour_legend(axes, config)


def _contour_legend(axes: "Axes", config: Config) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=color, linewidth=2, label=style.readable(organ))
        for organ, color in style.organ_colors(config.organs).items()
    ]
    handles.append(Line2D([], [], color=style.TUMOR, linewidth=2, label="tumor"))
    axes.figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
