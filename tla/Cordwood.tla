------------------------------ MODULE Cordwood ------------------------------
(* The Raft core of cordwood as far as it differs from Kafka's KRaft: src/raft, one group of kind "partition".
   docs/tla.md says what is modelled, what is not, and why. Comments name the file that an action mirrors.

   A log is a sequence of entries: <<"m", epoch>> starts an epoch and takes no offset, <<"r", epoch, value>> is a
   record (one batch), <<"v", epoch, voters>> is a voter set and takes no offset either. What a log looks like to
   others is its place <<epoch, end offset, version of the voter set>>; all rules compare places, never contents. *)
EXTENDS Integers, Sequences, FiniteSets, TLC

CONSTANTS
  Replica,       \* replicas: a node with one directory each
  NodeOf,        \* [Replica -> node]
  Founders,      \* the voter set that a group begins with
  Value,         \* what records hold
  None,
  Relaxed,       \* the flush policy: a claim needs no flush of records, and a crash may forget some
  Confirm,       \* starts are counted, recorded by peers, and confirmed before a replica votes
  Delayed,       \* requests wait in `net`, come late, doubled, or never; otherwise they arrive as they are sent
  Guarded,       \* a disk goes back only past starts that all other voters have recorded
  MayChange,     \* voter sets change
  Bug,           \* the mistake that is planted, "none" for none
  MaxEpoch, MaxRecords, MaxVersions, MaxCrashes, MaxReplaced, MaxBack   \* bounds

VARIABLES
  q,          \* quorumState.ts: [epoch, lead, vote, quar]; durable before anything is said (see docs/tla.md)
  st,         \* "absent" | "down" | "gone" | "stopped" | "free" | "follower" | "candidate" | "leader" | "resigned"
  log,        \* what the replica works with
  disk,       \* what a crash leaves at least
  pend,       \* writes that are not known to be durable: the log after each of them
  votes,      \* <<voter, quarantined>>: answers to the round of this candidate, here or under way
  claim,      \* what a leader knows of others: states.ts, Progress
  com,        \* how many entries a leader knows to be committed, 0 until something of its epoch is
  catch,      \* where a quarantine ends: FetchLoop.catchUpOffset
  starts,     \* the nonces of all starts of this disk: incarnations.ts
  seen,       \* seen[a][b]: the latest start of b that a has recorded
  conf,       \* who has recorded this start
  saved,      \* a copy of the data directory, <<>> for none
  net,        \* requests under way
  reign,      \* reign[e]: who leads epoch e and all that it ever held: what answers to Fetch may bring, however late
  committed,  \* the longest log that was committed anywhere
  commitIn,   \* the epoch in which each of its entries was committed
  fault,      \* numbers of invariants that an action has broken
  spent       \* how much of the bounds is used

vars == <<q, st, log, disk, pend, votes, claim, com, catch, starts, seen, conf, saved, net, reign, committed,
          commitIn, fault, spent>>

-----------------------------------------------------------------------------
(* Logs and places: epochHistory.ts, logView.ts *)

Min(a, b) == IF a < b THEN a ELSE b
Max(a, b) == IF a > b THEN a ELSE b
Last(s) == s[Len(s)]
Prefix(s, n) == SubSeq(s, 1, n)
IsPrefix(a, b) == Len(a) <= Len(b) /\ a = Prefix(b, Len(a))
\* Length of what two logs have in common.
Common(a, b) ==
  LET n == Min(Len(a), Len(b))
      first == {i \in 1..n : a[i] # b[i]}
  IN IF first = {} THEN n ELSE (CHOOSE i \in first : \A j \in first : i <= j) - 1

CountOf(l, kind) == Cardinality({i \in DOMAIN l : l[i][1] = kind})
Records(l) == CountOf(l, "r")
Version(l) == CountOf(l, "v")
\* The variants look at the epoch of the last record instead of the last start.
LastOf(l, kinds) ==
  LET marks == {i \in DOMAIN l : l[i][1] \in kinds}
  IN IF marks = {} THEN 0 ELSE l[CHOOSE i \in marks : \A j \in marks : j <= i][2]
LastEpoch(l) == LastOf(l, {"m"})
Place(l) == <<LastEpoch(l), Records(l), Version(l)>>

\* compareLogs: a is shorter than b.
Shorter(a, b) ==
  \/ a[1] < b[1]
  \/ a[1] = b[1] /\ a[2] < b[2]
  \/ a[1] = b[1] /\ a[2] = b[2] /\ a[3] < b[3]

\* EpochHistory.endOf: the end of the greatest epoch up to `e`.
EndOf(l, e) ==
  LET later == {i \in DOMAIN l : l[i][1] = "m" /\ l[i][2] > e}
      n == IF later = {} THEN Len(l) ELSE (CHOOSE i \in later : \A j \in later : i <= j) - 1
  IN Place(Prefix(l, n))

\* leaderFetches.ts, refusalOf: the log that ends at `place` is a beginning of `l`, as far as places tell.
Within(l, place) ==
  LET end == EndOf(l, place[1])
  IN end[1] = place[1] /\ (place[2] < end[2] \/ (place[2] = end[2] /\ place[3] <= end[3]))

RECURSIVE Picked(_, _, _)
Picked(l, keep, i) ==
  IF i > Len(l) THEN <<>>
  ELSE (IF i \in keep THEN <<l[i]>> ELSE <<>>) \o Picked(l, keep, i + 1)

\* The entries of `l` up to a place, kind by kind as LogView.truncate drops them.
Upto(l, place) ==
  {i \in DOMAIN l :
     LET before == Prefix(l, i)
     IN CASE l[i][1] = "r" -> Records(before) <= place[2]
          [] l[i][1] = "v" -> Version(before) <= place[3]
          [] OTHER -> l[i][2] <= place[1] /\ Records(before) <= place[2]}
Cut(l, place) ==
  LET keep == Upto(l, place) IN IF keep = 1..Cardinality(keep) THEN Prefix(l, Cardinality(keep)) ELSE Picked(l, keep, 1)
\* What a Fetch from `place` brings: records from its offset, later epochs, later voter sets.
Rest(l, place) ==
  LET old == {i \in DOMAIN l :
                LET before == Prefix(l, i)
                IN CASE l[i][1] = "r" -> Records(before) <= place[2]
                     [] l[i][1] = "v" -> Version(before) <= place[3]
                     [] OTHER -> l[i][2] <= place[1]}
      n == Cardinality(old)
  IN IF old = 1..n THEN SubSeq(l, n + 1, Len(l)) ELSE Picked(l, DOMAIN l \ old, 1)

\* EpochHistory.assign, with the mistake of forgetting an epoch that wrote nothing.
WithMark(l, e) ==
  IF Bug = "epochStartsReplaced" /\ Len(l) > 0 /\ Last(l)[1] = "m"
  THEN Append(Prefix(l, Len(l) - 1), <<"m", e>>)
  ELSE Append(l, <<"m", e>>)
RECURSIVE Extend(_, _)
Extend(l, entries) ==
  IF entries = <<>> THEN l
  ELSE Extend(IF Head(entries)[1] = "m" THEN WithMark(l, Head(entries)[2]) ELSE Append(l, Head(entries)), Tail(entries))

\* What is durable whatever happens: in every state that the disk may be in. Writes add one entry each unless they cut.
Safe(r) ==
  IF Len(log[r]) = Len(disk[r]) + Len(pend[r]) THEN disk[r]
  ELSE LET states == {disk[r]} \cup {pend[r][i] : i \in DOMAIN pend[r]}
           lengths == {Common(log[r], s) : s \in states}
       IN Prefix(log[r], CHOOSE n \in lengths : \A m \in lengths : n <= m)

-----------------------------------------------------------------------------
(* Voters: voterSet.ts, voterHistory.ts *)

SetsOf(l) == SelectSeq(l, LAMBDA entry : entry[1] = "v")
Voters(l) == LET sets == SetsOf(l) IN IF sets = <<>> THEN Founders ELSE Last(sets)[3]
VotersBefore(l) ==
  LET sets == SetsOf(l)
  IN CASE Len(sets) = 0 -> {} [] Len(sets) = 1 -> Founders [] OTHER -> sets[Len(sets) - 1][3]
Majority(set) == Cardinality(set) \div 2 + 1
\* RaftReplica.mayStand; what is known to be committed does not limit it here.
MayStand(r) ==
  /\ q[r].quar # "rolledBack"
  /\ r \in Voters(log[r]) \cup VotersBefore(log[r])
\* Who may answer for voter `k`: that very replica.
Is(r, k) == r = k \/ (Bug = "newDirectoryVotes" /\ NodeOf[r] = NodeOf[k])
\* highWatermark.ts, claimOf: whose Fetch counts for voter `k`.
Counts(r, k) == r = k \/ (Bug = "newDirectoryCounts" /\ NodeOf[r] = NodeOf[k])

IsUp(r) == st[r] \notin {"absent", "down", "gone", "stopped"}
Epochs == {q[r].epoch : r \in Replica}
Doubtful(r) == q[r].quar # "none" /\ Bug # "quarantinedVotes"

-----------------------------------------------------------------------------
(* Starts: incarnations.ts. A start is the sequence of the nonces of its disk's starts. Without Confirm none is kept. *)

Off == <<>>
StartOf(r) == IF Confirm THEN starts[r] ELSE Off

IsBefore(known, later) ==
  IF Bug = "startsWithoutNonces" THEN Len(known) < Len(later) ELSE known # later /\ IsPrefix(known, later)
IsSameStart(a, b) == IF Bug = "startsWithoutNonces" THEN Len(a) = Len(b) ELSE a = b
\* recordIncarnation: may the start be recorded, and what is known afterwards.
Accepts(v, r, start) ==
  \/ ~Confirm
  \/ Bug = "startNotRecorded"
  \/ seen[v][r] = <<>> \/ IsSameStart(seen[v][r], start) \/ IsBefore(seen[v][r], start)
SeenBy(v, r, start) ==
  IF Confirm /\ Accepts(v, r, start) /\ Bug # "startNotRecorded" THEN [seen EXCEPT ![v][r] = start] ELSE seen
\* learnRecorded: half of the other voters have to know this start.
Confirmed(r) ==
  IF ~Confirm \/ Bug = "startNotRecorded" \/ Voters(log[r]) = {r} THEN TRUE
  ELSE Cardinality(conf[r]) >= Cardinality(Voters(log[r])) \div 2

-----------------------------------------------------------------------------
(* What changes together *)

NoClaims == [r \in Replica |-> [upto |-> 0, quar |-> FALSE, back |-> FALSE, start |-> 0]]

\* The volatile state of `r` when it goes to state `s`, with votes `v` and a catch-up offset `n`.
Becomes(r, s, v, n) ==
  /\ st' = [st EXCEPT ![r] = s]
  /\ votes' = [votes EXCEPT ![r] = v]
  /\ claim' = [claim EXCEPT ![r] = IF s = "leader" THEN NoClaims ELSE Off]
  /\ com' = [com EXCEPT ![r] = 0]
  /\ catch' = [catch EXCEPT ![r] = n]
Goes(r, s) == Becomes(r, s, {}, 0)

\* Relaxed, a crash forgets records whether they were flushed or not: their flush is not worth a step of its own, but in
\* runs that are replayed, which count writes.
Writes(r, states) ==
  LET after == Last(states)
      isRecords == Records(after) - Records(log[r]) = Len(after) - Len(log[r]) /\ Len(after) > Len(log[r])
      isAside == Relaxed /\ ~Delayed /\ pend[r] = <<>> /\ isRecords
  IN /\ log' = [log EXCEPT ![r] = after]
     /\ pend' = IF isAside THEN pend ELSE [pend EXCEPT ![r] = @ \o states]
     /\ disk' = IF isAside THEN [disk EXCEPT ![r] = after] ELSE disk

Faults(set) == fault' = fault \cup set

\* Exclusive end of what `r` claims: LogView.claimOffset, and -1 (here 0) until the start of the epoch is durable.
ClaimOf(r) ==
  LET safe == Safe(r)
      known == IF Relaxed \/ Bug = "claimUnflushed" THEN log[r] ELSE safe
  IN IF \/ LastEpoch(safe) = q[r].epoch
        \/ Bug = "claimUnflushed" /\ LastEpoch(log[r]) = q[r].epoch
        \/ Bug = "commitOldEpoch"
     THEN Len(known) ELSE 0
OwnClaim(l) ==
  IF Bug = "leaderCountsUnflushed" THEN Len(log[l]) ELSE ClaimOf(l)

\* highWatermark.ts, majorityClaim.
MajorityClaim(l, claims, own, voters) ==
  LET best(k) ==
        LET of == {r \in Replica \ {l} : Counts(r, k) /\ (~claims[r].quar \/ Bug = "quarantinedCounts")}
            ends == {claims[r].upto : r \in of} \cup {0}
        IN CHOOSE n \in ends : \A m \in ends : m <= n
      value(k) == IF k = l THEN own ELSE best(k)
      enough == {n \in 0..Len(log'[l]) : Cardinality({k \in voters : value(k) >= n}) >= Majority(voters)}
  IN CHOOSE n \in enough : \A m \in enough : m <= n

HasCopy(r) == spent.back > 0 /\ saved[r] # <<>>
Holds(r, l) == IsPrefix(l, disk'[r])

\* settleHighWatermark: what the claims of a leader's voters make committed; used after `log'` and `disk'` are said.
Settles(l, claims, own, newlyBroken) ==
  LET voters == Voters(log'[l])
      n == MajorityClaim(l, claims, own, voters)
      done == Prefix(log'[l], n)
      isNew == n > com[l]
      isHere == IsPrefix(done, committed)
      fits == isHere \/ IsPrefix(committed, done)
      sets == {i \in 1..Len(log'[l]) : log'[l][i][1] = "v"}
      isSetDone == \A i \in sets : i <= n
      durable == Cardinality({k \in voters : Holds(k, done) \/ HasCopy(k)})
      sound == {k \in voters : IF k = l THEN own >= n ELSE claims[k].upto >= n /\ ~claims[k].quar}
      broken == (IF isNew /\ ~fits THEN {"I4"} ELSE {})
        \cup (IF isNew /\ ~Relaxed /\ durable < Majority(voters) THEN {"I8"} ELSE {})
        \cup (IF isNew /\ Cardinality(sound) < Majority(voters) THEN {"I16"} ELSE {})
      goes == isNew /\ isSetDone /\ l \notin voters
  IN /\ com' = [com EXCEPT ![l] = IF goes THEN 0 ELSE IF isNew THEN n ELSE @]
     /\ st' = [st EXCEPT ![l] = IF goes THEN "resigned" ELSE @]
     /\ claim' = [claim EXCEPT ![l] = IF goes THEN Off ELSE claims]
     /\ IF isNew /\ fits /\ ~isHere
        THEN /\ committed' = done
             /\ commitIn' = [i \in 1..n |-> IF i <= Len(commitIn) THEN commitIn[i] ELSE q[l].epoch]
        ELSE UNCHANGED <<committed, commitIn>>
     /\ Faults(broken \cup newlyBroken)

-----------------------------------------------------------------------------
\* A group whose first replicas are in the given states and have started as `start` says.
Begins(states, start) ==
  /\ q = [r \in Replica |-> [epoch |-> 0, lead |-> None, vote |-> None, quar |-> "none"]]
  /\ st = states
  /\ log = [r \in Replica |-> <<>>]
  /\ disk = log
  /\ pend = [r \in Replica |-> <<>>]
  /\ votes = [r \in Replica |-> {}]
  /\ claim = [r \in Replica |-> Off]
  /\ com = [r \in Replica |-> 0]
  /\ catch = com
  /\ starts = IF Confirm THEN [r \in Replica |-> IF r \in Founders THEN start ELSE <<>>] ELSE Off
  /\ seen = IF Confirm
            THEN [r \in Replica |-> [s \in Replica |-> IF {r, s} \subseteq Founders THEN start ELSE <<>>]] ELSE Off
  /\ conf = IF Confirm
            THEN [r \in Replica |-> IF r \in Founders /\ start # <<>> THEN Founders \ {r} ELSE {}] ELSE Off
  /\ saved = IF MaxBack > 0 THEN [r \in Replica |-> <<>>] ELSE Off
  /\ net = {}
  /\ reign = [e \in 1..MaxEpoch |-> [leader |-> None, log |-> <<>>]]
  /\ committed = <<>>
  /\ commitIn = <<>>
  /\ fault = {}
  /\ spent = [crashes |-> 0, replaced |-> 0, back |-> 0]

Init == Begins([r \in Replica |-> IF r \in Founders THEN "free" ELSE "absent"], <<1>>)

(* Elections *)

\* candidate.ts, becomeCandidate. Pre-votes change nothing that matters for safety and are left out.
Stand(r) ==
  /\ st[r] \in {"free", "follower"}
  /\ MayStand(r) /\ Confirmed(r)
  /\ q[r].epoch < MaxEpoch
  /\ q' = [q EXCEPT ![r] = [@ EXCEPT !.epoch = @ + 1, !.lead = None, !.vote = r]]
  /\ Becomes(r, "candidate", {<<r, Doubtful(r)>>}, 0)
  /\ UNCHANGED <<log, disk, pend, starts, seen, conf, saved, net, reign, committed, commitIn, fault, spent>>

VoteRequest(c) ==
  [type |-> "vote", from |-> c, epoch |-> q[c].epoch, place |-> Place(log[c]), start |-> StartOf(c),
   voters |-> Voters(log[c]),
   byRecord |-> LastOf(log[c], {"r"})]

\* voting.ts, isLongEnough.
LongEnough(v, m) ==
  LET own == Place(log[v])
  IN CASE Bug = "voteForShorterLog" -> TRUE
       [] Bug = "startsIgnoredInVote" ->
            ~Shorter(<<m.byRecord, m.place[2], m.place[3]>>, <<LastOf(log[v], {"r"}), own[2], own[3]>>)
       [] OTHER -> ~Shorter(m.place, own)

\* voting.ts, answerVote: replica `v` answers for voter `k`. The vote is written before it is answered. `isTold`: the
\* answers that confirm this start have come.
AnswerVote(v, k, m, isTold) ==
  LET c == m.from
      raised == m.epoch > q[v].epoch
      own == IF raised THEN [q[v] EXCEPT !.epoch = m.epoch, !.lead = None, !.vote = None] ELSE q[v]
      state == IF raised THEN "free" ELSE st[v]
      fresh == Accepts(v, c, m.start)
      grants ==
        /\ fresh
        /\ own.quar # "rolledBack" /\ Confirmed(v) /\ isTold
        /\ own.vote \in {None, c} \/ Bug = "voteTwice"
        /\ LongEnough(v, m) \/ (own.vote = c /\ Bug = "voteAgainUnchecked")
        /\ state = "free"
      \* countVote: only an answer to this round counts.
      counts ==
        /\ st[c] = "candidate" /\ q[c].epoch = m.epoch
        /\ (m.place = Place(log[c]) /\ m.start = StartOf(c)) \/ Bug = "staleVoteCounts"
      isTwice == \E other \in Replica \ {c} : q[other].epoch = m.epoch /\ \E d \in BOOLEAN : <<k, d>> \in votes[other]
  IN /\ IsUp(v) /\ v # c /\ Is(v, k)
     /\ m.epoch >= q[v].epoch
     /\ q' = [q EXCEPT ![v] = IF grants THEN [own EXCEPT !.vote = c] ELSE own]
     /\ st' = [st EXCEPT ![v] = state]
     /\ votes' = [r \in Replica |->
          CASE r = v -> IF raised THEN {} ELSE votes[v]
            [] r = c /\ grants /\ counts -> votes[c] \cup {<<k, own.quar # "none" /\ Bug # "quarantinedVotes">>}
            [] OTHER -> votes[r]]
     /\ claim' = IF raised THEN [claim EXCEPT ![v] = Off] ELSE claim
     /\ com' = IF raised THEN [com EXCEPT ![v] = 0] ELSE com
     /\ catch' = IF raised THEN [catch EXCEPT ![v] = 0] ELSE catch
     /\ seen' = SeenBy(v, c, m.start)
     /\ Faults(IF grants /\ isTwice /\ k = v THEN {"I9"} ELSE {})
     /\ UNCHANGED <<log, disk, pend, starts, conf, saved, net, reign, committed, commitIn, spent>>

\* candidateTimer: asks for pre-votes again; late answers to the old round do not count.
GiveUp(c) ==
  /\ st[c] = "candidate"
  /\ Goes(c, "free")
  /\ UNCHANGED <<q, log, disk, pend, starts, seen, conf, saved, net, reign, committed, commitIn, fault, spent>>

\* votingRound.ts, standing.
Granted(c, d) == {k \in Voters(log[c]) : <<k, d>> \in votes[c]}
Wins(c) ==
  LET voters == Voters(log[c])
  IN \/ Cardinality(Granted(c, FALSE)) >= (IF Bug = "halfIsMajority" THEN Max(1, Cardinality(voters) \div 2) ELSE Majority(voters))
     \/ voters # {} /\ Granted(c, FALSE) \cup Granted(c, TRUE) = voters

\* leader.ts, becomeLeader and startEpoch. When doubtful votes decided, what the longest log lacks is lost and said to be.
BecomeLeader(c) ==
  LET e == q[c].epoch
      after == WithMark(log[c], e)
      isLossy == Cardinality(Granted(c, FALSE)) < Majority(Voters(log[c]))
      left == IF isLossy THEN Common(committed, log[c]) ELSE Len(committed)
  IN /\ st[c] = "candidate" /\ Wins(c) = TRUE
     /\ q' = [q EXCEPT ![c] = [@ EXCEPT !.lead = c, !.quar = "none"]]
     /\ Goes(c, "leader")
     /\ Writes(c, <<after>>)
     /\ reign' = [reign EXCEPT ![e] = [leader |-> c, log |-> after]]
     /\ committed' = Prefix(committed, left)
     /\ commitIn' = Prefix(commitIn, left)
     /\ Faults((IF reign[e].leader # None THEN {"I1"} ELSE {})
          \cup (IF q[c].quar = "rolledBack" \/ c \notin Voters(log[c]) \cup VotersBefore(log[c]) THEN {"I16"} ELSE {}))
     /\ UNCHANGED <<starts, seen, conf, saved, net, spent>>

\* leadership.ts, learn and follow: BeginQuorumEpoch or any answer tells who leads.
Follow(r, e) ==
  LET l == reign[e].leader
  IN /\ IsUp(r) /\ l # None /\ l # r
     /\ e >= q[r].epoch
     /\ e = q[r].epoch => st[r] \in {"free", "candidate"} /\ q[r].lead \in {None, l}
     /\ q' = [q EXCEPT ![r] = [@ EXCEPT !.epoch = e, !.lead = l, !.vote = IF e > q[r].epoch THEN None ELSE @]]
     /\ Becomes(r, "follower", {}, IF q[r].quar = "forgotten" THEN Records(reign[e].log) ELSE 0)
     /\ UNCHANGED <<log, disk, pend, starts, seen, conf, saved, net, reign, committed, commitIn, fault, spent>>

\* raiseEpoch: an epoch without its leader. A leader that has resigned leaves its epoch by itself (resignedTimer).
Raise(r, e) ==
  /\ IsUp(r) /\ e > q[r].epoch
  /\ (\E other \in Epochs : e <= other) \/ (st[r] = "resigned" /\ e = q[r].epoch + 1)
  /\ q' = [q EXCEPT ![r] = [@ EXCEPT !.epoch = e, !.lead = None, !.vote = None]]
  /\ Goes(r, "free")
  /\ UNCHANGED <<log, disk, pend, starts, seen, conf, saved, net, reign, committed, commitIn, fault, spent>>

\* resigned.ts: no majority fetches, a transfer, a shutdown.
Resign(l) ==
  /\ st[l] = "leader"
  /\ Goes(l, "resigned")
  /\ UNCHANGED <<q, log, disk, pend, starts, seen, conf, saved, net, reign, committed, commitIn, fault, spent>>

\* observer.ts: whoever is no voter loses its leader and looks around; it gives votes meanwhile.
LoseLeader(r) ==
  /\ st[r] \in {"follower", "resigned"} /\ r \notin Voters(log[r])
  /\ Goes(r, "free")
  /\ UNCHANGED <<q, log, disk, pend, starts, seen, conf, saved, net, reign, committed, commitIn, fault, spent>>

(* The log *)

\* leader.ts, leaderAppend.
ClientAppend(l, value) ==
  LET after == Append(log[l], <<"r", q[l].epoch, value>>)
  IN /\ st[l] = "leader"
     /\ Records(log[l]) < MaxRecords
     /\ Writes(l, <<after>>)
     /\ reign' = [reign EXCEPT ![q[l].epoch].log = after]
     /\ UNCHANGED <<q, st, votes, claim, com, catch, starts, seen, conf, saved, net, committed, commitIn, fault, spent>>

\* applyFetch.ts, append: the first `n` entries of what the leader has beyond the end of this log.
FetchSome(r, n) ==
  LET e == q[r].epoch
      place == Place(log[r])
      rest == Rest(reign[e].log, place)
      within == Within(reign[e].log, place) \/ (Bug = "skipLastFetchedEpoch" /\ place[2] <= Records(reign[e].log))
  IN /\ st[r] = "follower" /\ reign[e].leader = q[r].lead
     /\ within = TRUE
     /\ n \in 1..Len(rest)
     /\ Writes(r, [i \in 1..n |-> Extend(log[r], Prefix(rest, i))])
     /\ UNCHANGED <<q, st, votes, claim, com, catch, starts, seen, conf, saved, net, reign, committed, commitIn, fault, spent>>

\* applyFetch.ts, diverge.
Truncate(r) ==
  LET e == q[r].epoch
      place == Place(log[r])
      leaders == EndOf(reign[e].log, place[1])
      own == EndOf(log[r], leaders[1])
      to == IF own[1] = leaders[1] /\ Shorter(leaders, own) THEN leaders ELSE own
      after == Cut(log[r], to)
  IN /\ st[r] = "follower" /\ reign[e].leader = q[r].lead
     /\ ~Within(reign[e].log, place)
     /\ Writes(r, <<after>>)
     /\ Faults((IF Common(log[r], committed) > Common(after, committed) THEN {"I5"} ELSE {})
          \cup (IF ~Shorter(to, place) THEN {"malformed"} ELSE {}))
     /\ UNCHANGED <<q, st, votes, claim, com, catch, starts, seen, conf, saved, net, reign, committed, commitIn, spent>>

\* A `flushed` event: the first `n` writes that were under way are durable.
Flush(r, n) ==
  /\ st[r] \notin {"absent", "down", "gone"} /\ n \in 1..Len(pend[r])
  /\ disk' = [disk EXCEPT ![r] = pend[r][n]]
  /\ pend' = [pend EXCEPT ![r] = SubSeq(@, n + 1, Len(@))]
  /\ UNCHANGED <<q, log, votes, catch, starts, seen, conf, saved, net, reign, spent>>
  /\ IF st[r] = "leader"
     THEN Settles(r, claim[r], OwnClaim(r)', {})
     ELSE UNCHANGED <<st, claim, com, committed, commitIn, fault>>

FetchRequest(r) ==
  [type |-> "fetch", from |-> r, epoch |-> q[r].epoch, place |-> Place(log[r]), upto |-> Min(ClaimOf(r), Len(log[r])),
   quar |-> q[r].quar # "none", start |-> StartOf(r)]

\* leaderFetches.ts, answerFetch: what a Fetch makes the leader count. What it brings back is FetchSome or Truncate.
AnswerFetch(l, m) ==
  LET r == m.from
      known == claim[l][r]
      within == Within(log[l], m.place)
      isVoter == r \in Voters(log[l])
      fresh == ~isVoter \/ Accepts(l, r, m.start)
      isLater == Confirm /\ Len(m.start) > known.start
      \* noteStart: a voter that has started anew must still hold what it claimed.
      claimsLess == known.upto > 0 /\ (m.place[1] < m.epoch \/ Records(Prefix(log[l], known.upto)) > m.place[2])
      back == known.back \/ (isLater /\ claimsLess /\ ~m.quar)
      counted == within /\ (m.place[1] = m.epoch \/ Bug = "commitOldEpoch")
      now == [upto |-> IF counted THEN Max(known.upto, m.upto) ELSE known.upto,
              quar |-> m.quar \/ back, back |-> back,
              start |-> IF isLater THEN Len(m.start) ELSE known.start]
      isQuarantined == q[r].quar # "none"
  IN /\ st[l] = "leader" /\ q[l].epoch = m.epoch
     /\ seen' = IF isVoter THEN SeenBy(l, r, m.start) ELSE seen
     /\ UNCHANGED <<q, log, disk, pend, votes, catch, starts, conf, saved, net, reign, spent>>
     /\ IF fresh
        THEN Settles(l, [claim[l] EXCEPT ![r] = now], OwnClaim(l), {})
        ELSE UNCHANGED <<st, claim, com, committed, commitIn, fault>>

(* Quarantine and starts *)

\* endQuarantine: it holds, durably, all that its leader held when it came back.
HasCaughtUp(r) ==
  LET n == ClaimOf(r)
  IN /\ q[r].quar = "forgotten" /\ st[r] = "follower"
     /\ IF Bug = "quarantineEndsEarly" THEN Len(log[r]) > 0
        ELSE LastEpoch(Safe(r)) = q[r].epoch /\ Records(Prefix(log[r], n)) >= catch[r]
EndQuarantine(r) ==
  /\ HasCaughtUp(r)
  /\ q' = [q EXCEPT ![r].quar = "none"]
  /\ catch' = [catch EXCEPT ![r] = 0]
  /\ UNCHANGED <<st, log, disk, pend, votes, claim, com, starts, seen, conf, saved, net, reign, committed, commitIn, fault, spent>>

\* rolledBack: what this replica knows of itself cannot be trusted any more.
KnowsBack(r) ==
  /\ q[r].quar # "rolledBack"
  /\ q' = [q EXCEPT ![r].quar = "rolledBack"]
  /\ CASE st[r] = "leader" -> Goes(r, "resigned")
       [] st[r] = "candidate" -> Goes(r, "free")
       [] OTHER -> UNCHANGED <<st, votes, claim, com, catch>>

\* announce and learnRecorded: `v` records this start, or has recorded another one.
Announce(r, v) ==
  /\ Confirm /\ IsUp(r) /\ IsUp(v) /\ r # v /\ v \in Voters(log[r])
  /\ v \notin conf[r]
  /\ q[r].quar # "rolledBack"
  /\ seen' = SeenBy(v, r, starts[r])
  /\ conf' = [conf EXCEPT ![r] = IF IsSameStart(seen'[v][r], starts[r]) THEN @ \cup {v} ELSE @]
  /\ UNCHANGED <<log, disk, pend, starts, saved, net, reign, committed, commitIn, fault, spent>>
  /\ IF IsSameStart(seen'[v][r], starts[r]) \/ IsBefore(seen'[v][r], starts[r]) \/ Bug = "startNotRecorded"
     THEN UNCHANGED <<q, st, votes, claim, com, catch>>
     ELSE KnowsBack(r)

\* The leader knows that this replica had flushed more: FetchResponse.rolledBack.
LearnBack(r) ==
  /\ st[r] = "follower" /\ q[r].quar # "rolledBack"
  /\ \E l \in Replica : st[l] = "leader" /\ q[l].epoch = q[r].epoch /\ claim[l][r].back
  /\ q' = [q EXCEPT ![r].quar = "rolledBack"]
  /\ UNCHANGED <<st, votes, claim, com, catch, log, disk, pend, starts, seen, conf, saved, net, reign, committed, commitIn, fault, spent>>

(* Voter changes: voterChanges.ts *)

\* isVoterSetCommitted, and something of the own epoch is committed.
MayChangeNow(l) ==
  \/ Bug = "twoVoterChanges"
  \/ Bug = "changeBeforeCommit" /\ ~ \E i \in DOMAIN log[l] : log[l][i][1] = "v" /\ log[l][i][2] = q[l].epoch
  \/ com[l] > 0 /\ \A i \in DOMAIN log[l] : log[l][i][1] = "v" => i <= com[l]

ChangeVoters(l, next) ==
  LET now == Voters(log[l])
      after == Append(log[l], <<"v", q[l].epoch, next>>)
      isOn(k) == IsPrefix(Prefix(log[l], Max(0, Len(log[l]))), disk[k])
  IN /\ MayChange /\ st[l] = "leader"
     /\ Version(log[l]) < MaxVersions
     /\ MayChangeNow(l) = TRUE
     /\ \/ \E r \in Replica \ now :
             /\ next = now \cup {r}
             /\ \A k \in now : NodeOf[k] # NodeOf[r]
             /\ claim[l][r].upto > 0 /\ ~claim[l][r].quar
        \/ \E r \in now : next = now \ {r} /\ next # {}
     /\ Writes(l, <<after>>)
     /\ reign' = [reign EXCEPT ![q[l].epoch].log = after]
     /\ UNCHANGED <<q, votes, catch, starts, seen, conf, saved, net, spent>>
     /\ Settles(l, claim[l], OwnClaim(l)', {})

(* Faults *)

\* What a power cut may leave of a disk: some of the writes under way, in order; relaxed, a beginning of the records too.
Leftovers(r) ==
  LET states == {disk[r]} \cup {pend[r][i] : i \in DOMAIN pend[r]}
  IN IF ~Relaxed THEN states
     ELSE UNION {{Prefix(s, n) : n \in {m \in 0..Len(s) : m = Len(s) \/ s[m + 1][1] = "r"}} : s \in states}

Dies(r, left, quar, vote) ==
  /\ IsUp(r) \/ st[r] = "stopped"
  /\ disk' = [disk EXCEPT ![r] = left]
  /\ log' = [log EXCEPT ![r] = left]
  /\ pend' = [pend EXCEPT ![r] = <<>>]
  /\ q' = [q EXCEPT ![r] = [@ EXCEPT !.quar = IF @ = "none" THEN quar ELSE @, !.vote = vote]]
  /\ conf' = IF Confirm THEN [conf EXCEPT ![r] = {}] ELSE conf
  /\ Goes(r, "down")
  /\ UNCHANGED <<starts, seen, saved, net, reign, committed, commitIn, fault>>

Crash(r, left) ==
  /\ spent.crashes < MaxCrashes
  /\ left \in Leftovers(r)
  /\ \E vote \in {q[r].vote} \cup (IF Bug = "voteNotDurable" THEN {None} ELSE {}) :
       Dies(r, left, IF Relaxed THEN "forgotten" ELSE "none", vote)
  /\ spent' = [spent EXCEPT !.crashes = @ + 1]

\* The process alone dies.
Kill(r) == Dies(r, log[r], "none", q[r].vote) /\ UNCHANGED spent

\* The log fails or the replica is shut down.
Stop(r) ==
  /\ IsUp(r)
  /\ Goes(r, "stopped")
  /\ UNCHANGED <<q, log, disk, pend, starts, seen, conf, saved, net, reign, committed, commitIn, fault, spent>>

\* starting.ts, begin.
Restart(r, start) ==
  LET isCandidate == q[r].vote = r /\ q[r].lead = None /\ r \in Voters(log[r]) /\ q[r].quar # "rolledBack" /\ ~Confirm
      state ==
        CASE r \notin Voters(log[r]) -> "free"
          [] Voters(log[r]) = {r} /\ q[r].quar # "rolledBack" -> "free"
          [] q[r].lead = r -> IF Bug = "leaderReturnsAsLeader" THEN "leader" ELSE "resigned"
          [] q[r].lead # None -> "follower"
          [] isCandidate -> "candidate"
          [] OTHER -> "free"
  IN /\ st[r] = "down"
     /\ st' = [st EXCEPT ![r] = state]
     /\ votes' = [votes EXCEPT ![r] = IF state = "candidate" THEN {<<r, Doubtful(r)>>} ELSE {}]
     /\ catch' = [catch EXCEPT ![r] =
          IF state = "follower" /\ q[r].quar = "forgotten" THEN Records(reign[q[r].epoch].log) ELSE 0]
     /\ claim' = [claim EXCEPT ![r] = IF state = "leader" THEN NoClaims ELSE Off]
     /\ starts' = IF Confirm THEN [starts EXCEPT ![r] = start] ELSE starts
     /\ UNCHANGED <<q, com, log, disk, pend, seen, conf, saved, net, reign, committed, commitIn, fault, spent>>

\* Node and disk are gone; the node comes back with an empty directory, which is another replica.
Replace(r, s) ==
  /\ spent.replaced < MaxReplaced
  /\ st[r] \notin {"absent", "gone"} /\ st[s] = "absent" /\ NodeOf[r] = NodeOf[s]
  /\ st' = [st EXCEPT ![r] = "gone", ![s] = "free"]
  /\ votes' = [votes EXCEPT ![r] = {}]
  /\ claim' = [claim EXCEPT ![r] = Off]
  /\ com' = [com EXCEPT ![r] = 0]
  /\ catch' = [catch EXCEPT ![r] = 0]
  /\ spent' = [spent EXCEPT !.replaced = @ + 1]
  /\ UNCHANGED <<q, log, disk, pend, starts, seen, conf, saved, net, reign, committed, commitIn, fault>>

\* A copy of the data directory of a replica that is down.
Copy(r) ==
  /\ MaxBack > 0 /\ st[r] = "down" /\ \A s \in Replica : saved[s] = <<>>
  /\ saved' = [saved EXCEPT ![r] = <<q[r], disk[r], starts[r], seen[r]>>]
  /\ UNCHANGED <<q, st, log, disk, pend, votes, claim, com, catch, starts, seen, conf, net, reign, committed, commitIn, fault, spent>>

\* The disk is what it was when it was copied.
GoBack(r) ==
  /\ spent.back < MaxBack /\ st[r] = "down" /\ saved[r] # <<>>
  /\ starts[r] # saved[r][3]
  /\ Guarded => \A v \in Voters(log[r]) \ {r} : seen[v][r] = starts[r]
  /\ q' = [q EXCEPT ![r] = saved[r][1]]
  /\ disk' = [disk EXCEPT ![r] = saved[r][2]]
  /\ log' = [log EXCEPT ![r] = saved[r][2]]
  /\ starts' = [starts EXCEPT ![r] = saved[r][3]]
  /\ seen' = [seen EXCEPT ![r] = saved[r][4]]
  /\ spent' = [spent EXCEPT !.back = @ + 1]
  /\ UNCHANGED <<st, pend, votes, claim, com, catch, conf, saved, net, reign, committed, commitIn, fault>>

-----------------------------------------------------------------------------
(* Requests: at once, or late *)

Requests == {VoteRequest(c) : c \in {r \in Replica : st[r] = "candidate"}}
  \cup {FetchRequest(r) : r \in {s \in Replica : st[s] = "follower"}}

Send ==
  /\ Delayed
  /\ \E m \in Requests \ net :
       /\ m.type = "fetch" => m.upto > 0 \/ m.quar
       /\ net' = {x \in net : \E r \in Replica : q[r].epoch <= x.epoch} \cup {m}
  /\ UNCHANGED <<q, st, log, disk, pend, votes, claim, com, catch, starts, seen, conf, saved, reign, committed, commitIn, fault, spent>>

Arriving == IF Delayed THEN net ELSE Requests

\* A new start. Its nonce is one that no start after the same starts had: that of a disk that went back differs.
NextStart(r) == IF Confirm THEN Append(starts[r], IF spent.back > 0 THEN 2 ELSE 1) ELSE Off

\* Whoever is down stays silent until it is back, as whoever is slow does: nothing else happens in between.
\* Where a disk goes back, the first crash is that of this disk, which is copied then, and so are the others.
Recovers(r) ==
  IF MaxBack > 0 /\ \A s \in Replica : saved[s] = <<>> THEN Copy(r) ELSE GoBack(r) \/ Restart(r, NextStart(r))
MayCrash(r) ==
  /\ spent.crashes < MaxCrashes
  /\ MaxBack > 0 => saved[r] # <<>> \/ \A s \in Replica : saved[s] = <<>>

Moves(r) ==
  \/ Stand(r) \/ BecomeLeader(r) \/ Truncate(r) \/ LearnBack(r)
  \/ \E e \in 1..MaxEpoch : Follow(r, e)
  \/ st[r] = "resigned" /\ q[r].epoch < MaxEpoch /\ Raise(r, q[r].epoch + 1)
  \/ \E value \in Value : ClientAppend(r, value)
  \/ st[r] = "follower" /\ \E n \in 1..Len(reign[q[r].epoch].log) : FetchSome(r, n)
  \/ IsUp(r) /\ pend[r] # <<>> /\ Flush(r, Len(pend[r]))
  \/ MayCrash(r) /\ \E left \in Leftovers(r) : Crash(r, left)
  \/ spent.replaced < MaxReplaced /\ \E s \in Replica : Replace(r, s)
  \/ Confirm /\ \E s \in Replica : Announce(r, s)
  \/ MayChange /\ st[r] = "leader" /\ \E next \in SUBSET Replica : ChangeVoters(r, next)

\* Requests that change nothing are not worth a step.
Arrives(m) ==
  \/ /\ m.type = "vote"
     /\ \E k \in m.voters, v \in Replica :
          /\ m.epoch >= q[v].epoch
          /\ m.epoch = q[v].epoch => st[v] = "free" /\ (q[v].vote \in {None, m.from} \/ Bug = "voteTwice")
          /\ AnswerVote(v, k, m, TRUE)
  \/ /\ m.type = "fetch"
     /\ LET l == reign[m.epoch].leader
        IN /\ l # None /\ st[l] = "leader"
           /\ ~Confirm => <<m.upto, m.quar>> # <<claim[l][m.from].upto, claim[l][m.from].quar>>
           /\ AnswerFetch(l, m)

\* A quarantine ends in the very step that makes it end.
Next ==
  LET down == {r \in Replica : st[r] = "down"}
      back == IF Relaxed THEN {r \in Replica : HasCaughtUp(r)} ELSE {}
  IN CASE down # {} -> \E r \in down : Recovers(r)
       [] back # {} -> \E r \in back : EndQuarantine(r)
       [] OTHER ->
            \/ \E r \in Replica : Moves(r)
            \/ Send
            \/ \E m \in Arriving : Arrives(m)

Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
(* Invariants, by the numbers of the fault model *)

I1 == "I1" \notin fault
\* A place names everything before it, in the log of every replica.
I2 ==
  \A r, s \in Replica :
    LET a == log[r]
        b == log[s]
        n == Common(a, b)
    IN r # s => \A i \in (n + 1)..Len(a), j \in (n + 1)..Len(b) : Place(Prefix(a, i)) # Place(Prefix(b, j))
\* A leader has all that was committed in earlier epochs.
I3 ==
  \A l \in Replica : st[l] = "leader" =>
    \A i \in DOMAIN committed : commitIn[i] < q[l].epoch => i <= Len(log[l]) /\ log[l][i] = committed[i]
I4 == "I4" \notin fault
I5 == "I5" \notin fault
I8 == "I8" \notin fault
I9 == "I9" \notin fault
I16 == "I16" \notin fault /\ \A r \in Replica : st[r] = "leader" => q[r].quar = "none"
\* At most one voter set is uncommitted, and majorities of successive sets meet.
I17 ==
  \A r \in Replica :
    LET sets == <<<<"v", 0, Founders>>>> \o SetsOf(log[r])
    IN \A i \in 1..(Len(sets) - 1) :
         /\ Cardinality((sets[i][3] \ sets[i + 1][3]) \cup (sets[i + 1][3] \ sets[i][3])) = 1
\* No answer is refused as impossible.
Sound == "malformed" \notin fault

Symmetry == Permutations(Replica)
=============================================================================
