------------------------------ MODULE Checked ------------------------------
(* Cordwood with what scripts/tla.mjs puts for its constants. *)
EXTENDS Cordwood

CONSTANTS r1, r2, r3, r4

OwnNode == [r \in Replica |-> r]
\* r4 is r3's node after its directory was lost.
ReplacedNode == [r \in Replica |-> IF r = r4 THEN r3 ELSE r]

\* Replicas that nothing tells apart.
Alike == Permutations(Replica \ (IF NodeOf = OwnNode THEN {} ELSE {r3, r4}))
=============================================================================
