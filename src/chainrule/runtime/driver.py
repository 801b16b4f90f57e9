"""The generated functions that run tables of launches on several threads.

A launch is a record of four words: address of the kernel, address of its slots, number of tiles,
and whether all threads must have finished what comes before. A call is a block of words that
names the records. The threads of a pool share a control area: one of them, the caller, publishes
a block under a new ticket and works as thread 0; the others wait for tickets, first spinning, then
asleep on a condition variable. They wait inside native code, so none of them needs the
interpreter's lock to start.
"""

from __future__ import annotations

import platform
import time
from string import Template

RECORD_WORDS = 4
"""Words of a record: kernel, slots, tiles, barrier."""

BLOCK_WORDS = 6
RECORDS, COUNT, TABLE, TIMES, CONTROL, THREADS = range(BLOCK_WORDS)
"""Words of a block. TIMES is 0, or where COUNT + 1 times in nanoseconds go, one before each launch
and one at the end; launches are then run one after another."""

CONTROL_BYTES = 2048
TICKET, ARRIVED, SLEEPING, BLOCK, BASE, TURNS, PATIENCE = 0, 128, 256, 384, 392, 400, 408
MUTEX, CONDITION = 1024, 1536
"""Offsets in the control area, in bytes. What several threads write has cache lines of its own.
TICKET counts calls, times 256, plus the threads that take part; 0 of them means stop. ARRIVED
counts arrivals at barriers, for ever; BASE is its value when the call began. TURNS says how often
a barrier looks before it yields, PATIENCE how many nanoseconds a worker spins between calls."""

_COMMON = r"""
declare i32 @sched_yield()
declare i32 @clock_gettime(i32, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)
$pause_declaration

define internal i64 @now() nounwind {
  %time = alloca [2 x i64]
  %status = call i32 @clock_gettime(i32 $clock, ptr %time)
  %seconds = load i64, ptr %time
  %rest = getelementptr i8, ptr %time, i64 8
  %nanoseconds = load i64, ptr %rest
  %scaled = mul i64 %seconds, 1000000000
  %sum = add i64 %scaled, %nanoseconds
  ret i64 %sum
}

define internal void @wait(ptr %control, i64 %goal) nounwind {
entry:
  %arrived = getelementptr i8, ptr %control, i64 $ARRIVED
  %turns_at = getelementptr i8, ptr %control, i64 $TURNS
  %turns = load i64, ptr %turns_at
  br label %look
look:
  %i = phi i64 [0, %entry], [%next, %again]
  %seen = load atomic i64, ptr %arrived acquire, align 8
  %there = icmp sge i64 %seen, %goal
  br i1 %there, label %done, label %not_yet
not_yet:
  %long = icmp sge i64 %i, %turns
  br i1 %long, label %yield, label %pause
yield:
  %status = call i32 @sched_yield()
  br label %again
pause:
  $pause
  br label %again
again:
  %next = add i64 %i, 1
  br label %look
done:
  ret void
}

define internal void @execute(ptr %block, i64 %thread, i64 %threads, i64 %base) nounwind {
entry:
  %records_at = getelementptr i64, ptr %block, i64 $RECORDS
  %count_at = getelementptr i64, ptr %block, i64 $COUNT
  %table_at = getelementptr i64, ptr %block, i64 $TABLE
  %times_at = getelementptr i64, ptr %block, i64 $TIMES
  %control_at = getelementptr i64, ptr %block, i64 $CONTROL
  %records = load ptr, ptr %records_at
  %count = load i64, ptr %count_at
  %table = load ptr, ptr %table_at
  %times = load ptr, ptr %times_at
  %control = load ptr, ptr %control_at
  %arrived = getelementptr i8, ptr %control, i64 $ARRIVED
  %timed = icmp ne ptr %times, null
  %alone = icmp eq i64 %threads, 1
  %first = icmp eq i64 %thread, 0
  %notes = and i1 %timed, %first
  br label %step
step:
  %i = phi i64 [0, %entry], [%next, %after]
  %goal = phi i64 [%base, %entry], [%goal_after, %after]
  %ended = icmp sge i64 %i, %count
  %record = getelementptr [4 x i64], ptr %records, i64 %i
  br i1 %ended, label %synchronise, label %begin
begin:
  %barrier_at = getelementptr i64, ptr %record, i64 3
  %barrier = load i64, ptr %barrier_at
  %is_barrier = icmp ne i64 %barrier, 0
  %needed = or i1 %is_barrier, %timed
  br i1 %needed, label %synchronise, label %launch
synchronise:
  br i1 %alone, label %note, label %arrive
arrive:
  %goal_next = add i64 %goal, %threads
  %before = atomicrmw add ptr %arrived, i64 1 acq_rel
  %now_there = add i64 %before, 1
  %last = icmp eq i64 %now_there, %goal_next
  %leaves = xor i1 %first, true
  %leaving = and i1 %ended, %leaves
  %skip = or i1 %last, %leaving
  br i1 %skip, label %note, label %waiting
waiting:
  call void @wait(ptr %control, i64 %goal_next)
  br label %note
note:
  %goal_noted = phi i64 [%goal, %synchronise], [%goal_next, %arrive], [%goal_next, %waiting]
  br i1 %notes, label %stamp, label %noted
stamp:
  %time = call i64 @now()
  %time_at = getelementptr i64, ptr %times, i64 %i
  store i64 %time, ptr %time_at
  br label %noted
noted:
  br i1 %ended, label %done, label %launch
launch:
  %goal_after = phi i64 [%goal, %begin], [%goal_noted, %noted]
  %slots_at = getelementptr i64, ptr %record, i64 1
  %tiles_at = getelementptr i64, ptr %record, i64 2
  %kernel = load ptr, ptr %record
  %slots = load ptr, ptr %slots_at
  %tiles = load i64, ptr %tiles_at
  br i1 %alone, label %take, label %share
share:
  %succ = add i64 %thread, 1
  %low_product = mul i64 %tiles, %thread
  %high_product = mul i64 %tiles, %succ
  %low_share = udiv i64 %low_product, %threads
  %high_share = udiv i64 %high_product, %threads
  %whole = icmp eq i64 %tiles, 1
  %one = zext i1 %first to i64
  %low = select i1 %whole, i64 0, i64 %low_share
  %high = select i1 %whole, i64 %one, i64 %high_share
  br label %take
take:
  %from = phi i64 [0, %launch], [%low, %share]
  %to = phi i64 [%tiles, %launch], [%high, %share]
  %some = icmp slt i64 %from, %to
  br i1 %some, label %call, label %after
call:
  call void %kernel(ptr %table, ptr %slots, i64 %from, i64 %to)
  br label %after
after:
  %next = add i64 %i, 1
  br label %step
done:
  ret void
}
"""

_RUN = r"""
define void @kernel(ptr %block) nounwind {
entry:
  %threads_at = getelementptr i64, ptr %block, i64 $THREADS
  %threads = load i64, ptr %threads_at
  %alone = icmp eq i64 %threads, 1
  br i1 %alone, label %single, label %publish
single:
  call void @execute(ptr %block, i64 0, i64 1, i64 0)
  ret void
publish:
  %control_at = getelementptr i64, ptr %block, i64 $CONTROL
  %control = load ptr, ptr %control_at
  %arrived = getelementptr i8, ptr %control, i64 $ARRIVED
  %block_at = getelementptr i8, ptr %control, i64 $BLOCK
  %base_at = getelementptr i8, ptr %control, i64 $BASE
  %sleeping = getelementptr i8, ptr %control, i64 $SLEEPING
  %base = load atomic i64, ptr %arrived acquire, align 8
  store ptr %block, ptr %block_at
  store i64 %base, ptr %base_at
  %ticket = load i64, ptr %control
  %plain = and i64 %ticket, -256
  %next = add i64 %plain, 256
  %new = or i64 %next, %threads
  store atomic i64 %new, ptr %control seq_cst, align 8
  %asleep = load atomic i64, ptr %sleeping seq_cst, align 8
  %all_awake = icmp eq i64 %asleep, 0
  br i1 %all_awake, label %go, label %wake
wake:
  %mutex = getelementptr i8, ptr %control, i64 $MUTEX
  %condition = getelementptr i8, ptr %control, i64 $CONDITION
  %locked = call i32 @pthread_mutex_lock(ptr %mutex)
  %told = call i32 @pthread_cond_broadcast(ptr %condition)
  %unlocked = call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %go
go:
  call void @execute(ptr %block, i64 0, i64 %threads, i64 %base)
  ret void
}
"""

_WORK = r"""
define void @kernel(ptr %control, i64 %thread, i64 %start) nounwind {
entry:
  %sleeping = getelementptr i8, ptr %control, i64 $SLEEPING
  %block_at = getelementptr i8, ptr %control, i64 $BLOCK
  %base_at = getelementptr i8, ptr %control, i64 $BASE
  %patience_at = getelementptr i8, ptr %control, i64 $PATIENCE
  %mutex = getelementptr i8, ptr %control, i64 $MUTEX
  %condition = getelementptr i8, ptr %control, i64 $CONDITION
  br label %idle
idle:
  %known = phi i64 [%start, %entry], [%ticket, %finished]
  %since = call i64 @now()
  %patience = load i64, ptr %patience_at
  %until = add i64 %since, %patience
  br label %spin
spin:
  %i = phi i64 [0, %idle], [%next, %spin_on], [0, %not_late]
  %seen = load atomic i64, ptr %control acquire, align 8
  %is_new = icmp ne i64 %seen, %known
  br i1 %is_new, label %got, label %spin_on
spin_on:
  $pause
  %next = add i64 %i, 1
  %many = icmp sge i64 %next, 64
  br i1 %many, label %clock, label %spin
clock:
  %time = call i64 @now()
  %late = icmp sge i64 %time, %until
  br i1 %late, label %sleep, label %not_late
not_late:
  %yielded = call i32 @sched_yield()
  br label %spin
sleep:
  %locked = call i32 @pthread_mutex_lock(ptr %mutex)
  %before = atomicrmw add ptr %sleeping, i64 1 seq_cst
  br label %asleep
asleep:
  %woken = load atomic i64, ptr %control seq_cst, align 8
  %changed = icmp ne i64 %woken, %known
  br i1 %changed, label %awake, label %doze
doze:
  %status = call i32 @pthread_cond_wait(ptr %condition, ptr %mutex)
  br label %asleep
awake:
  %after = atomicrmw sub ptr %sleeping, i64 1 seq_cst
  %unlocked = call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %got
got:
  %ticket = phi i64 [%seen, %spin], [%woken, %awake]
  %threads = and i64 %ticket, 255
  %stop = icmp eq i64 %threads, 0
  br i1 %stop, label %end, label %ask
ask:
  %takes_part = icmp slt i64 %thread, %threads
  br i1 %takes_part, label %work, label %finished
work:
  %block = load ptr, ptr %block_at
  %base = load i64, ptr %base_at
  call void @execute(ptr %block, i64 %thread, i64 %threads, i64 %base)
  br label %finished
finished:
  br label %idle
end:
  ret void
}
"""

_PAUSE = {
    "x86_64": ("call void @llvm.x86.sse2.pause()", "declare void @llvm.x86.sse2.pause()"),
    "aarch64": ("call void @llvm.aarch64.hint(i32 1)", "declare void @llvm.aarch64.hint(i32)"),
}
_NAMES = {"amd64": "x86_64", "arm64": "aarch64"}


def texts() -> tuple[str, str]:
    """The modules of the two functions: ``run(block)``, and ``work(control, thread, ticket)``.

    ``run`` does a block's launches with as many threads as it says and returns when all are done;
    ``work`` is what every other thread of a pool does until it is told to stop.
    """
    machine = platform.machine().lower()
    pause, declaration = _PAUSE.get(_NAMES.get(machine, machine), ("", ""))
    words = {
        "RECORDS": RECORDS, "COUNT": COUNT, "TABLE": TABLE, "TIMES": TIMES, "CONTROL": CONTROL,
        "THREADS": THREADS, "ARRIVED": ARRIVED, "SLEEPING": SLEEPING, "BLOCK": BLOCK,
        "BASE": BASE, "TURNS": TURNS, "PATIENCE": PATIENCE, "MUTEX": MUTEX,
        "CONDITION": CONDITION, "clock": time.CLOCK_MONOTONIC,
        "pause": pause, "pause_declaration": declaration,
    }  # fmt: skip
    return Template(_COMMON + _RUN).substitute(words), Template(_COMMON + _WORK).substitute(words)
