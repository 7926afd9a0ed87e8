"""What can be wrong with keys and with what they protect."""


class EncryptionFault(Exception):
    """Encryption cannot go on; the message names what is wrong and what to do, and never holds a key."""


class WrongKey(EncryptionFault):
    """A key that does not open what it was given."""


class Damaged(EncryptionFault):
    """Bytes that are not those that were written, or stand in another's place.

    entity: what it is about, as `Type/id` or the name of a part; patient: whose it is, where that is known.
    """

    def __init__(self, message: str, entity: str = "", patient: str = "") -> None:
        super().__init__(message)
        self.entity, self.patient = entity, patient
