"""FHIR's XML form, to and from its JSON form. Spec: https://hl7.org/fhir/R4/xml.html"""

from fhir_server.api.xml.reader import xml_to_json
from fhir_server.api.xml.writer import json_to_xml

__all__ = ["json_to_xml", "xml_to_json"]
