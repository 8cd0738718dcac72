#!/usr/bin/env bash
# Submit one job. Arguments: threads, memory in MB, run time in minutes, GPUs, and the script of the job.
# What it prints is the number of the job. Uncomment the line of your scheduler, or write one.
set -euo pipefail
threads=$1 memory=$2 minutes=$3 gpus=$4 script=$5

# PBS Pro:  qsub -l select=1:ncpus="$threads":mem="$memory"mb:ngpus="$gpus" -l walltime="$minutes":00 "$script"
# LSF:      bsub -n "$threads" -M "$memory" -W "$minutes" -gpu "num=$gpus" "$script" | grep -o '[0-9]*' | head -n 1
# SGE:      qsub -terse -pe smp "$threads" -l h_vmem="$memory"M,h_rt="$((minutes * 60))" "$script"
: "${threads}${memory}${minutes}${gpus}"

# No scheduler: run it in the background of this machine.
log=$(mktemp "${TMPDIR:-/tmp}/freetumor-job.XXXXXX")
nohup bash "$script" >"$log" 2>&1 &
echo $!
