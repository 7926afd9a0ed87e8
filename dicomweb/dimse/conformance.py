"""What the conformance statement (docs/dicom.md) says of DIMSE."""

SAID = (
    "Verification, C-STORE of all storage SOP classes in all transfer syntaxes, C-FIND, C-MOVE and C-GET of study root "
    "and patient root, modality worklist, MPPS with retrieve, storage commitment push model: as SCP.",
    "C-ECHO, C-STORE, C-FIND (study root, worklist), C-MOVE, C-GET and storage commitment: as SCU, for forwarding, "
    "prefetching, C-MOVE and the command line.",
    "Queries are hierarchical: the unique keys of the levels above are needed. Relational queries and fuzzy names are "
    "not negotiated; names match whatever their case and accents.",
    "Role selection is negotiated; asynchronous operations are not (one at a time), and user identities are passed "
    "over: an AE is known by its title with its address or its TLS certificate.",
    "Setting up, security, worklist, forwarding: [dicom_dimse.md](dicom_dimse.md).",
)
