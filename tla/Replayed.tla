------------------------------ MODULE Replayed ------------------------------
(* Is what the simulation of src/raft has done a behaviour of the model? Module Traces is made by test/raft/traces: per
   line one step of one replica, and how things were after it. A step of the core may be several of the model, all of
   that replica. What was asked is in `net` from the moment on that the replica which asked was in such a state. *)
EXTENDS Cordwood, Integers, Traces

VARIABLES
  t,      \* the trace
  i,      \* the line to come
  phase,  \* how many steps of the model that line has had
  base    \* the log of its replica before it

Line == Recorded[t].lines[i]
Upon(log0, l) == Prefix(log0, l.keep) \o l.add
After(l) == Upon(base, l)

ReplayInit ==
  /\ t \in DOMAIN Recorded
  /\ Begins([r \in Replica |-> IF r \in Recorded[t].first THEN "down" ELSE "absent"], <<>>)
  /\ i = 1 /\ phase = 0 /\ base = <<>>

\* What a line says that a replica has recorded of others.
SeenIn(l) ==
  [s \in Replica |->
     LET of == {n \in DOMAIN l.seen : l.seen[n][1] = s} IN IF of = {} THEN <<>> ELSE l.seen[CHOOSE n \in of : TRUE][2]]

\* The disk is what it once was.
Back(r, l) ==
  /\ st[r] = "down"
  /\ q' = [q EXCEPT ![r] = [epoch |-> l.q[1], lead |-> IF l.q[2] = "none" THEN None ELSE reign[l.q[1]].leader,
                            vote |-> IF l.q[3] = "none" THEN None ELSE l.q[3], quar |-> l.q[4]]]
  /\ log' = [log EXCEPT ![r] = Upon(log[r], l)]
  /\ disk' = [disk EXCEPT ![r] = Upon(log[r], l)]
  /\ starts' = [starts EXCEPT ![r] = l.starts]
  /\ seen' = [seen EXCEPT ![r] = SeenIn(l)]
  /\ saved' = [saved EXCEPT ![r] = <<0>>]
  /\ spent' = [spent EXCEPT !.back = @ + 1]
  /\ UNCHANGED <<st, pend, votes, claim, com, catch, conf, net, reign, committed, commitIn, fault>>

\* recordIncarnation: an answer to any request of another replica records its start first.
Records1(r, m) ==
  /\ m.type = "start" /\ m.from # r
  /\ Accepts(r, m.from, m.start) /\ seen[r][m.from] # m.start
  /\ seen' = SeenBy(r, m.from, m.start)
  /\ UNCHANGED <<q, st, log, disk, pend, votes, claim, com, catch, starts, conf, saved, net, reign, committed, commitIn, fault, spent>>

\* learnRecorded and FetchResponse.rolledBack: a peer has recorded another start, or its leader a higher claim.
HearsBack(r) ==
  /\ \/ \E v \in Replica : seen[v][r] # starts[r] /\ ~IsBefore(seen[v][r], starts[r])
     \/ \E m \in net : m.type = "back" /\ m.from = r
  /\ KnowsBack(r)
  /\ UNCHANGED <<log, disk, pend, starts, seen, conf, saved, net, reign, committed, commitIn, fault, spent>>

\* What is known to have happened in the line.
Given(l) ==
  LET r == l.r
      arg == l.arg
  IN CASE l.kind = "start" -> IF st[r] = "down" THEN Restart(r, l.starts) ELSE UNCHANGED vars
       [] l.kind = "crash" -> Crash(r, Upon(log[r], l))
       [] l.kind = "kill" -> Kill(r)
       [] l.kind = "flush" /\ l.n > 0 -> Flush(r, l.n)
       [] l.kind = "replace" -> Replace(arg, r)
       [] l.kind = "back" -> Back(r, l)
       [] l.kind = "vote" ->
            \E m \in net :
              /\ m.type = "vote" /\ m.from = arg[1] /\ m.epoch = arg[2] /\ m.place = arg[3]
              /\ IF m.epoch < q[r].epoch \/ ~IsUp(r) THEN UNCHANGED vars
                 ELSE AnswerVote(r, r, m, TRUE) \/ (Confirm /\ AnswerVote(r, r, m, FALSE))
       [] l.kind = "fetch" ->
            \E m \in net :
              /\ m.type = "fetch" /\ m.from = arg[1] /\ m.epoch = arg[2] /\ m.place = arg[3]
              /\ m.upto = arg[4] /\ m.quar = arg[5]
              /\ AnswerFetch(r, m)
       [] OTHER -> UNCHANGED vars

\* What may follow from it: only steps that lead to what the line says.
Follows(l) ==
  LET r == l.r
      after == After(l)
      more == Len(log[r]) < Len(after) /\ IsPrefix(log[r], after)
      next == after[Len(log[r]) + 1]
  IN /\ l.kind \notin {"crash", "kill", "replace", "back"}
     /\ \/ l.q[1] = q[r].epoch + 1 /\ l.q[3] = r /\ Stand(r)
        \/ l.q[1] = q[r].epoch /\ st[r] = "candidate" /\ BecomeLeader(r)
        \/ l.st # "candidate" /\ GiveUp(r)
        \/ l.q[1] > q[r].epoch /\ Raise(r, l.q[1])
        \/ l.q[1] >= Max(1, q[r].epoch) /\ Follow(r, l.q[1])
        \/ l.st # "leader" /\ Resign(r)
        \/ l.st = "free" /\ LoseLeader(r)
        \/ l.st = "stopped" /\ Stop(r)
        \/ l.q[4] = "none" /\ EndQuarantine(r)
        \/ Confirm /\ l.q[4] = "rolledBack" /\ HearsBack(r)
        \/ Confirm /\ \E m \in net : SeenIn(l)[m.from] # <<>> /\ Records1(r, m)
        \/ Len(after) < Len(log[r]) /\ Truncate(r)
        \/ more /\ FetchSome(r, Len(after) - Len(log[r]))
        \/ more /\ next[1] = "r" /\ ClientAppend(r, next[3])
        \/ more /\ next[1] = "v" /\ ChangeVoters(r, next[3])

Fits(l) ==
  LET r == l.r
  IN /\ st[r] = l.st
     /\ log[r] = After(l)
     /\ IF l.q = <<>> THEN TRUE
        ELSE /\ q[r].epoch = l.q[1]
             /\ (IF q[r].lead = None THEN "none" ELSE NodeOf[q[r].lead]) = l.q[2]
             /\ (IF q[r].vote = None THEN "none" ELSE q[r].vote) = l.q[3]
             /\ q[r].quar = l.q[4]
     /\ IF ~Confirm \/ l.q = <<>> THEN TRUE ELSE starts[r] = l.starts /\ seen[r] = SeenIn(l)
     /\ CASE st[r] = "leader" /\ com[r] > 0 -> Records(Prefix(log[r], com[r])) = l.done
          [] st[r] = "leader" /\ ~Relaxed -> l.done <= Records(committed)
          [] OTHER -> TRUE

\* An observer that looks for a leader asks anybody.
Asks(r) ==
  CASE st[r] = "candidate" -> {VoteRequest(r)}
    [] st[r] = "follower" \/ (st[r] = "free" /\ r \notin Voters(log[r])) -> {FetchRequest(r)}
    [] OTHER -> {}

\* Everybody's start is heard of; who is told of a claim that was higher; an answer to a start may come at any time.
Known(r) ==
  IF ~Confirm THEN {}
  ELSE {[type |-> "start", from |-> r, start |-> starts[r]]}
       \cup {[type |-> "back", from |-> s] : s \in {x \in Replica : st[r] = "leader" /\ claim[r][x].back}}
ConfirmedBy(r) ==
  LET all == conf[r] \cup {v \in Replica \ {r} : seen[v][r] = starts[r]}
  IN IF Voters(log[r]) = {r} \/ Cardinality(all) >= Cardinality(Voters(log[r])) \div 2 THEN Replica ELSE all

\* Says how far a trace has come, once.
Reached(n) ==
  IF TLCGet(t) >= n THEN TRUE
  ELSE TLCSet(t, n) /\ PrintT(<<"reached", t, n, Len(Recorded[t].lines)>>)

ReplayNext ==
  /\ i <= Len(Recorded[t].lines) /\ Line.keep <= Len(log[Line.r])
  /\ UNCHANGED t
  /\ LET l == Line
     IN \/ phase = 0 /\ base' = log[l.r] /\ phase' = 1 /\ UNCHANGED i /\ Given(l)
        \/ phase \in 1..5 /\ phase' = phase + 1 /\ UNCHANGED <<i, base>> /\ Follows(l)
        \/ /\ phase > 0
           /\ Fits(l)
           /\ phase' = 0 /\ i' = i + 1 /\ base' = <<>>
           /\ net' = net \cup Asks(l.r) \cup Known(l.r)
           /\ conf' = IF Confirm
                      THEN [r \in Replica |-> IF IsUp(r) /\ starts[r] # <<>> THEN ConfirmedBy(r) ELSE conf[r]]
                      ELSE conf
           /\ UNCHANGED <<q, st, log, disk, pend, votes, claim, com, catch, starts, seen, saved, reign, committed, commitIn, fault, spent>>
           /\ Reached(i)

ASSUME \A n \in DOMAIN Recorded : TLCSet(n, 0)

ReplaySpec == ReplayInit /\ [][ReplayNext]_<<vars, t, i, phase, base>>
=============================================================================
