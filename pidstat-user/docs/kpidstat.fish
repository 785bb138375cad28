# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_kpidstat_global_optspecs
    string join \n u r s d w v R n unix sched delay delayacct T= p/pids= t tree follow exited= C= G= comm_regex= U= ignore cgroup= container= where= top= sort= columns= l h H time-format= self check I human dec= o= style= dev= source= net= sched-tasks= net-sockets= net-packets procfs= root= replay= debug-bpf e= help V/version
end

function __fish_kpidstat_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_kpidstat_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_kpidstat_using_subcommand
    set -l cmd (__fish_kpidstat_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c kpidstat -n "__fish_kpidstat_needs_command" -s T -d 'Report the task itself, the task with the children it waited for, or both' -r -f -a "TASK\t'The task itself'
CHILD\t'The task and the children it waited for'
ALL\t'Both'"
complete -c kpidstat -n "__fish_kpidstat_needs_command" -s p -l pids -d 'Only these processes (SELF is kpidstat itself), idle or not; ALL shows every process, idle or not' -r
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l exited -d 'Processes that ended: show (the default), hide, or fold into their parent; fold:cgroup and fold:command make one row for each group or name' -r
complete -c kpidstat -n "__fish_kpidstat_needs_command" -s C -d 'Only tasks whose name matches this regular expression (with -l: whose command line does)' -r
complete -c kpidstat -n "__fish_kpidstat_needs_command" -s G -d 'Only processes whose name matches, with all their threads' -r
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l comm_regex -d 'Only processes whose command line matches from its start' -r
complete -c kpidstat -n "__fish_kpidstat_needs_command" -s U -d 'User names instead of numbers; with a name, only that user\'s tasks' -r
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l cgroup -d 'Control group of each process; with a text, only processes in whose group\'s path it is' -r
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l container -d 'Container of each process; with a text, only processes in containers in whose name or id it is' -r
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l where -d 'Only rows for which this holds, like \'cpu_pct > 50 and not match(comm, "k.*")\'; names are column ids' -r
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l top -d 'Only the first N processes of each table; by CPU time unless --sort says otherwise' -r
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l sort -d 'Sort by this column, largest first; smallest first with - before it or :asc after it' -r
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l columns -d 'These columns in this order instead of reports, by id or head' -r
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l time-format -d 'Time of each row: clock, iso (with date and zone), epoch, or a strftime pattern like \'%F %T%.3f\'' -r
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l dec -d 'Decimals of rates and percentages' -r
complete -c kpidstat -n "__fish_kpidstat_needs_command" -s o -d 'Machine-readable output: sysstat\'s JSON document, one JSON object per sample, or CSV' -r -f -a "json\t'sysstat\'s document'
ndjson\t'One object per sample and line'
csv\t'One row per task and sample'"
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l style -d 'The table of another program: pypidstat\'s with its -u -r -d -w -n -l, one line per process' -r -f -a "pypidstat\t'pypidstat\'s table'"
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l dev -d 'Where packets are captured (--net pcap): only on these devices; otherwise all devices are counted anyway' -r
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l source -d 'Where the numbers come from' -r -f -a "auto\t'eBPF where it works, else /proc'
ebpf\t'eBPF, or fail'
proc\t'/proc only'"
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l net -d 'By which means traffic is counted' -r -f -a "auto\t'The best that this machine allows'
tracepoint\t'The socket layer\'s tracepoints (6.5 and later)'
fexit\t'What the protocols\' functions return'
kprobe\t'Breakpoints and sequence numbers'
sampled\t'Sequence numbers read at each sample: TCP only, no cost per packet'
pcap\t'Captured packets, without eBPF'"
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l sched-tasks -d 'With --sched: for how many tasks the kernel map has room (16384); what does not fit is counted as lost' -r
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l net-sockets -d 'For how many sockets the kernel maps have room (65536); what does not fit is counted as lost' -r
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l procfs -d 'Read another procfs' -r -F
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l root -d 'Play back recorded instants: DIR/0/proc, DIR/1/proc, ...' -r -F
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l replay -d 'Play back a recording that `record` made, or Procpath' -r -F
complete -c kpidstat -n "__fish_kpidstat_needs_command" -s e -d 'Run this program, report it until it ends, and end with its exit code; takes the rest of the line' -r
complete -c kpidstat -n "__fish_kpidstat_needs_command" -s u -d 'CPU (the default report)'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -s r -d 'Page faults and memory'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -s s -d 'Stack'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -s d -d 'Disk I/O'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -s w -d 'Context switches'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -s v -d 'Threads and open files'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -s R -d 'Realtime priority and scheduling policy'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -s n -d 'Network: packets and bytes received and sent, loopback included'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l unix -d 'What went through UNIX sockets too, in a report of its own'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l sched -d 'Switches by kind, how long tasks ran and waited each time, and who took their CPU, by hooks on the scheduler'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l delay -d 'Delays: waiting for a CPU, storage, swap, memory; - where the kernel does not measure'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l delayacct -d 'Have the kernel measure delays (kernel.task_delayacct) while this runs, of processes started from then on'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -s t -d 'Threads too'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l tree -d 'Each process with all its descendants summed'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l follow -d 'With -p or -C: their children, and restarts of the same command, stay selected'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l ignore -d 'Leave kpidstat itself out'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -s l -d 'Command lines instead of names'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -s h -d 'One line per task with all reports side by side, no averages'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -s H -d 'Seconds since the epoch instead of the time of day'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l self -d 'Also print what kpidstat itself costs: CPU, memory, time of a sample, losses'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l check -d 'Also compare the sum of all processes with what the machine counted: CPU, context switches, disks'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -s I -d '%CPU of all CPUs together instead of one'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l human -d 'Sizes with units'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l net-packets -d 'Packets of UDP and other datagrams as they are on the wire, by hooks on every packet, instead of messages'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l debug-bpf -d 'Print what the network programs log inside the kernel on standard error'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -l help -d 'Print this help'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -s V -l version -d 'Print version'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -a "doctor" -d 'Says what this machine allows, and what would allow more'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -a "net" -d 'Traffic of processes, connections, containers, remote addresses or services'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -a "io" -d 'Who reads and writes storage, live or in tables (iotop)'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -a "proc" -d 'What one file of the kernel says of processes'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -a "csv" -d 'Files stat, status and io of processes and threads as CSV (linuxprocfs.py)'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -a "query" -d 'Finds processes in the tree by JSONPath, and asks SQL about them'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -a "watch" -d 'Keeps commands running whose arguments are found in the process tree'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -a "record" -d 'Records processes into a database, sample by sample'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -a "explore" -d 'Shows a recording as a page in the browser, on this machine only'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -a "play" -d 'Runs sections of a playbook, each one of the other commands'
complete -c kpidstat -n "__fish_kpidstat_needs_command" -a "plot" -d 'Draws a recording: lines over time as SVG or PNG'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -l by -d 'What the rows are' -r -f -a "process\t'Processes'
connection\t'Connections'
container\t'Containers'
remote\t'Remote addresses'
port\t'Services: protocol and port'"
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -l sort -d 'Sort by this column, largest first; smallest first with - before it or :asc after it' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -l top -d 'Only the first N rows' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -l where -d 'Only rows for which this holds, like \'tx_bytes > 1000 and protocol == "tcp"\'; names are column ids' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -l columns -d 'These columns in this order, by id or head' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -s o -d 'Machine-readable output' -r -f -a "json\t'sysstat\'s document'
ndjson\t'One object per sample and line'
csv\t'One row per task and sample'"
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -s d -d 'Seconds between refreshes, fractions allowed' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -s v -d 'What a trace shows: 0 kB/s, 1 total kB, 2 total bytes, 3 total MB, 4 MB/s, 5 GB/s' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -s c -d 'Stop after so many refreshes; 0 for never' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -s g -d 'Accepted: processes that ended are told from others with their number without cleaning up' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -s P -d 'Only these processes; in a trace the others are one row' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -s f -d 'Filter of packets, in pcap\'s language; only for --net pcap' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -l net -d 'By which means traffic is counted' -r -f -a "auto\t'The best that this machine allows'
tracepoint\t'The socket layer\'s tracepoints (6.5 and later)'
fexit\t'What the protocols\' functions return'
kprobe\t'Breakpoints and sequence numbers'
sampled\t'Sequence numbers read at each sample: TCP only, no cost per packet'
pcap\t'Captured packets, without eBPF'"
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -l replay -d 'Play back a recording that `record` made; without an interval sample by sample' -r -F
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -l net-sockets -d 'For how many sockets the kernel maps have room (65536); what does not fit is counted as lost' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -l dev -d 'Where packets are captured (--net pcap): only on these devices; otherwise all devices are counted anyway' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -l container -d 'Container of each row too; JSON always has it, with pod and unit'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -l idle -d 'Rows that did nothing in the interval too'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -l batch -d 'Tables below each other, on a terminal too'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -s t -d 'Trace: after each refresh NAME/PID/UID, sent and received with headers, separated by tabs'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -s x -d 'Trace with the rung and what was lost'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -s p -d 'Capture packets for other machines too; only for --net pcap'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -s s -d 'Sort by what was sent; otherwise by what was received'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -s a -d 'All devices; they always are, unless the program is called nethogs and captures packets: then loopback only so'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -s l -d 'Command lines instead of names'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -s b -d 'In a trace, names without their directories'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -s C -d 'UDP too; it always is, unless the program is called nethogs'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -l unix -d 'UNIX sockets too'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -l net-packets -d 'Packets of UDP and other datagrams as they are on the wire, by hooks on every packet, instead of messages'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -l nethogs -d 'Set where the program is called nethogs'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -s V -d 'Print the version'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand net" -s h -l help -d 'Print this help'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand io" -s n -l iter -d 'Number of tables' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand io" -s d -l delay -d 'Seconds between tables, fractions allowed' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand io" -s p -l pid -d 'Only this thread, or with -P this process with all its threads; can be given several times' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand io" -s u -l user -d 'Only this user\'s, by name or number; can be given several times' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand io" -l root -d 'Play back recorded instants: DIR/0/proc, DIR/1/proc, ...' -r -F
complete -c kpidstat -n "__fish_kpidstat_using_subcommand io" -s o -l only -d 'Only processes or threads that do I/O'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand io" -s b -l batch -d 'Print tables one after the other instead of drawing the screen anew'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand io" -s P -l processes -d 'Processes instead of threads'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand io" -s a -l accumulated -d 'Sums since the start instead of rates'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand io" -s k -l kilobytes -d 'All sizes in KiB'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand io" -s t -l time -d 'The time of day before each line; implies -b'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand io" -s q -l quiet -d 'Titles only once, -qq never, -qqq no sums either; implies -b'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand io" -l no-help -d 'No line about the keys'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand io" -l delayacct -d 'Have the kernel measure delays (kernel.task_delayacct) while this runs, of processes started from then on'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand io" -l version -d 'Print the version'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand io" -s h -l help -d 'Print this help'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand proc" -s o -d 'As Python\'s pprint prints it, as one JSON document, as one JSON object or CSV line per row' -r -f -a "json\t'One document'
ndjson\t'One object per row and line'
csv\t'One line per row'
pprint\t'What Python\'s pprint prints'"
complete -c kpidstat -n "__fish_kpidstat_using_subcommand proc" -l procfs -d 'Read another procfs, or a copy of one' -r -F
complete -c kpidstat -n "__fish_kpidstat_using_subcommand proc" -s h -l help -d 'Print this help'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand csv" -s w -l sleep -d 'Seconds between repetitions' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand csv" -l procfs -d 'Read another procfs, or a copy of one' -r -F
complete -c kpidstat -n "__fish_kpidstat_using_subcommand csv" -s h -l help -d 'Print this help'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand csv" -s s -l stat -d 'Rows of stat (the default)'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand csv" -s S -l status -d 'Rows of status'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand csv" -s i -l io -d 'Rows of io'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand csv" -s t -l titles -d 'A line of titles before the first row of each kind'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand csv" -s r -l repeat -d 'Again and again until interrupted'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand csv" -s p -l processes -d 'All processes, but not their threads'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand csv" -l ts -d 'A first column with the time of the pass, seconds since the epoch'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand query" -s d -l delimiter -d 'Print what was found joined by this text instead of JSON' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand query" -s i -l indent -d 'Indent the JSON by so many blanks' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand query" -s e -l environment -d 'A variable for both queries: what COMMAND prints, by sh' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand query" -s f -l procfile-list -d 'What to read of each process: stat, cmdline, io, status, fd, smaps_rollup, cgroup, delay, net, exited' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand query" -l procfs -d 'Read another procfs, or a copy of one' -r -F
complete -c kpidstat -n "__fish_kpidstat_using_subcommand query" -l procfs-target -d 'Processes, or threads as well' -r -f -a "process\t'Processes'
thread\t'Threads'"
complete -c kpidstat -n "__fish_kpidstat_using_subcommand query" -l exited -d 'Wait so long first; processes that end meanwhile are in the tree, with a member exited' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand query" -l jsonpath -d 'The language of JSONPATH' -r -f -a "both\t'RFC 9535 and Procpath\'s'
strict\t'RFC 9535 alone'"
complete -c kpidstat -n "__fish_kpidstat_using_subcommand query" -l compat -d 'Behave as an older Procpath: 0.2 has one tree, that of process 1' -r -f -a "0.2\t'0.2.0'"
complete -c kpidstat -n "__fish_kpidstat_using_subcommand query" -l logging-level -d 'What to say on standard error: warnings and errors, or errors alone' -r -f -a "DEBUG\t'Everything'
INFO\t'What is done'
WARNING\t'What may be wrong'
ERROR\t'What is wrong'
CRITICAL\t'What ends the program'"
complete -c kpidstat -n "__fish_kpidstat_using_subcommand query" -s h -l help -d 'Print this help'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand watch" -s e -l environment -d 'A variable for queries and commands: what COMMAND prints, by sh' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand watch" -s q -l query -d 'A variable for commands: what JSONPATH finds, joined by commas, like L=\'$..children[?(@.stat.pid == $C1)]..pid\'' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand watch" -s c -l command -d 'What to run, by sh; $WPS1, $WPS2, ... are the process ids of the shells before it' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand watch" -s i -l interval -d 'Seconds after which variables are evaluated again, and commands that ended are started again' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand watch" -s r -l repeat -d 'Number of intervals; without it, until interrupted' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand watch" -s s -l stop-signal -d 'What commands are told when watching ends' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand watch" -l kill-after -d 'Seconds from then until those that still run are killed' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand watch" -l stream-read-buffer -d 'The longest line of a command that is shown (k and m are units)' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand watch" -s f -l procfile-list -d 'What to read of each process: stat, cmdline, io, status, fd, smaps_rollup, cgroup, delay, net, exited' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand watch" -l procfs -d 'Read another procfs, or a copy of one' -r -F
complete -c kpidstat -n "__fish_kpidstat_using_subcommand watch" -l procfs-target -d 'Processes, or threads as well' -r -f -a "process\t'Processes'
thread\t'Threads'"
complete -c kpidstat -n "__fish_kpidstat_using_subcommand watch" -l logging-level -d 'What to say on standard error: output of commands is INFO, their errors are WARNING' -r -f -a "DEBUG\t'Everything'
INFO\t'What is done'
WARNING\t'What may be wrong'
ERROR\t'What is wrong'
CRITICAL\t'What ends the program'"
complete -c kpidstat -n "__fish_kpidstat_using_subcommand watch" -l no-restart -d 'Start each command once, and end when all have ended'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand watch" -s h -l help -d 'Print this help'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand record" -s e -l environment -d 'A variable for the query, -d and -p: what COMMAND prints, by sh' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand record" -s d -l database-file -d 'The recording; an existing one is continued' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand record" -s p -l pid-list -d 'Only these processes with their descendants and the way to them, before the query' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand record" -s i -l interval -d 'Seconds between samples' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand record" -s r -l recnum -d 'Number of samples; 0 or none means until interrupted' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand record" -s v -l reevalnum -d 'Run the commands of -e again every N samples' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand record" -s f -l procfile-list -d 'What to read of each process: stat, cmdline, io, status, fd, smaps_rollup, cgroup, delay, net, exited' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand record" -l procfs -d 'Read another procfs, or a copy of one' -r -F
complete -c kpidstat -n "__fish_kpidstat_using_subcommand record" -l procfs-target -d 'Processes, or threads as well' -r -f -a "process\t'Processes'
thread\t'Threads'"
complete -c kpidstat -n "__fish_kpidstat_using_subcommand record" -l format -d 'What FILE is; by its name if not given (.ndjson, .parquet, else sqlite); Parquet has the table record alone' -r -f -a "sqlite\t'A database with Procpath\'s tables and ours'
ndjson\t'One JSON object per sample and line'
parquet\t'The table `record` in groups of rows'"
complete -c kpidstat -n "__fish_kpidstat_using_subcommand record" -l reports -d 'The reports that can be made of the recording, by their letters (c: control group, D: delays); s, v, c and D cost a look at each process in every sample, - none' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand record" -l rotate -d 'Begin a new file after this time (90s, 15m, 12h, 7d), keeping the old ones as FILE.1, FILE.2, ...' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand record" -l max-size -d 'Begin a new file when it has grown to this size (64k, 100m, 2g)' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand record" -l keep -d 'How many old files to keep; all without it' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand record" -l source -d 'Where the numbers of the reports come from' -r -f -a "auto\t'eBPF where it works, else /proc'
ebpf\t'eBPF, or fail'
proc\t'/proc only'"
complete -c kpidstat -n "__fish_kpidstat_using_subcommand record" -l root -d 'Record played back instants: DIR/0/proc, DIR/1/proc, ...' -r -F
complete -c kpidstat -n "__fish_kpidstat_using_subcommand record" -l stop-without-result -d 'Stop after a sample without any process'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand record" -s h -l help -d 'Print this help'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand explore" -s d -l database-file -d 'The recording to look at' -r -F
complete -c kpidstat -n "__fish_kpidstat_using_subcommand explore" -s b -l bind -d 'Address to serve on: one of this machine\'s own, which nobody else reaches' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand explore" -s p -l port -d 'Port to serve on; 0 takes a free one' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand explore" -l build-url -d 'Accepted for Procpath\'s sake; there is nothing to download' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand explore" -l no-browser -d 'Only say the address, open no browser'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand explore" -l reinstall -d 'Accepted for Procpath\'s sake; there is nothing to install'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand play" -s f -l playbook-file -d 'The playbook; its commands are run, so look with -n first' -r -F
complete -c kpidstat -n "__fish_kpidstat_using_subcommand play" -s o -l option -d 'Override an option of the sections, like database_file=db.sqlite' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand play" -s l -l list-sections -d 'List the sections that match'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand play" -s n -l dry-run -d 'Print what would be run as JSON, and run nothing'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand play" -s h -l help -d 'Print this help'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand plot" -s d -l database-file -d 'The recording to read' -r -F
complete -c kpidstat -n "__fish_kpidstat_using_subcommand plot" -s f -l plot-file -d 'The plot to write: .svg, .png, or .csv with the points of every line; - is standard output' -r -F
complete -c kpidstat -n "__fish_kpidstat_using_subcommand plot" -s q -l query-name -d 'A built-in query: cpu, rss, pss, uss, swap, fd, rbs, wbs, wait, or of our recordings rxbs, txbs, rxps, txps, tcp, sockets, runq, iodelay; two of them get an axis each' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand plot" -l custom-query-file -d 'An SQL query in a file, with the columns ts, pid and value; it may use :after, :before and :pid_list' -r -F
complete -c kpidstat -n "__fish_kpidstat_using_subcommand plot" -l custom-value-expr -d 'An SQL expression over the columns of a recorded row' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand plot" -s a -l after -d 'Only points from this time on, in UTC, like 2000-01-01T00:00:00' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand plot" -s b -l before -d 'Only points up to this time' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand plot" -s p -l pid-list -d 'Only these processes' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand plot" -l style -d 'Colours, like DarkStyle or LightSolarizedStyle; without it, light or dark as the viewer is' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand plot" -l formatter -d 'How values are written: human_readable, default, significant, integer or raw' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand plot" -l title -d 'A title of your own' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand plot" -s e -l epsilon -d 'Leave out points nearer than this to the line without them (Ramer-Douglas-Peucker)' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand plot" -s w -l moving-average-window -d 'Centred moving average of so many points, before points are left out' -r
complete -c kpidstat -n "__fish_kpidstat_using_subcommand plot" -l png -d 'Write PNG whatever the file is called'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand plot" -l csv -d 'Write the points whatever the file is called'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand plot" -s s -l share-y-axis -d 'One axis for all queries'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand plot" -s l -l logarithmic -d 'Logarithmic scale; what is not above zero is left out'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand plot" -l no-dots -d 'No dots on the lines near the labels of the time axis'
complete -c kpidstat -n "__fish_kpidstat_using_subcommand plot" -l relative-time -d 'Time since the first point instead of the time of day'
