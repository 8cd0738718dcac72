"""Show a few checked volumes of each source, for the eye.

Needs   results/volumes/<preset>/<source>/volumes.parquet, and the arrays it points to
Gives   results/<study>/figures/contact_sheets/<source>.{png,pdf,csv,md}
Steps   plot_contact_sheet per source; the target `contact_sheets` draws all
"""


rule plot_contact_sheet:
    input:
        f"results/volumes/{STUDY.preset}/{{source}}/volumes.parquet",
    output:
        sheet_of_source(),
    log:
        "results/{study}/logs/plot_contact_sheet/{source}.log",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(20),
    params:
        config=CONFIG,
        code=code_hash("plot_contact_sheet.py"),
        settings=settings("organs"),
    message:
        "Drawing the contact sheet of {wildcards.source}"
    shell:
        """
        python scripts/plot_contact_sheet.py \
            --config {params.config:q} \
            --volumes {input:q} \
            --output {output.png:q} 2>&1 | tee {log:q}
        """
