"""What the conformance statement (docs/dicom.md) says of the worklist services over the web."""

SAID = (
    "UPS-RS (PS3.18 chapter 11): create, retrieve, update, change state, request cancellation, search, subscribe to "
    "one, to all and to filtered workitems, suspend, unsubscribe; events over WebSocket at `/dicomweb/subscribers/AE`.",
    "Storage commitment (chapter 13): the answer is there at once. Modality worklist (chapter 14): search. MPPS "
    "(chapter 15): create, update, retrieve.",
    "DICOM JSON and XML, both ways. Global subscriptions may be suspended; deletion locks are granted.",
)
