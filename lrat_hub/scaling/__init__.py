"""Work on many items by several processes and machines: what comes out is the same as by one process.

`work` says what such work is: shards that anybody can make, files that are whole or not there, and a folder that says
whose they are. `execution` runs it by one of datatrove's executors. `processes` maps a function over tasks, in order,
on processes of this machine.
"""
