------------------------------ MODULE Checked ------------------------------
(* What TLC is given: see scripts/tla.mjs. *)
EXTENDS Cordwood

OwnNode == [r \in Replica |-> r]
=============================================================================
