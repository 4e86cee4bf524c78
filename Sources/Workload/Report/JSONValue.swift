/// A JSON value that keeps the order of its keys, so that the same report is the same text.
///
/// Figures are integers, or decimals made of them: none is rounded through a floating-point number, and none becomes NaN.
package enum JSONValue {
  case object([(key: String, value: JSONValue)])
  case array([JSONValue])
  /// An array of numbers, on one line.
  case row([UInt64])
  case string(String)
  case unsigned(UInt64)
  case signed(Int64)
  case boolean(Bool)
  /// A number as it is written.
  case number(String)

  /// An object of the members that apply; a nil value leaves its key out.
  package static func members(_ members: KeyValuePairs<String, JSONValue?>) -> JSONValue {
    .object(members.compactMap { key, value in value.map { (key: key, value: $0) } })
  }

  /// A decimal with six places at least, as fio prints them: `number / 10^scale`.
  static func decimal(_ number: UInt64, scale: Int) -> JSONValue {
    .number(ReportNumber.fixed(number, scale: scale, places: 6))
  }

  /// The document on one line, without a newline.
  package var line: String {
    switch self {
    case .object(let members):
      "{" + members.map { Self.quoted($0.key) + ":" + $0.value.line }.joined(separator: ",") + "}"
    case .array(let elements): "[" + elements.map(\.line).joined(separator: ",") + "]"
    default: text()
    }
  }

  /// The document, indented by two spaces a level as fio's is, without a newline at its end.
  package func text(indentation: Int = 0) -> String {
    switch self {
    case .object(let members):
      Self.list(
        members.map { Self.quoted($0.key) + " : " + $0.value.text(indentation: indentation + 2) }, "{", "}",
        indentation)
    case .array(let elements):
      Self.list(elements.map { $0.text(indentation: indentation + 2) }, "[", "]", indentation)
    case .row(let numbers): "[" + numbers.map { "\($0)" }.joined(separator: ",") + "]"
    case .string(let string): Self.quoted(string)
    case .unsigned(let number): "\(number)"
    case .signed(let number): "\(number)"
    case .boolean(let truth): truth ? "true" : "false"
    case .number(let text): text
    }
  }

  private static func list(_ items: [String], _ open: String, _ close: String, _ indentation: Int) -> String {
    if items.isEmpty { return open + close }
    let inner = String(repeating: " ", count: indentation + 2)
    let outer = String(repeating: " ", count: indentation)
    return open + "\n" + items.map { inner + $0 }.joined(separator: ",\n") + "\n" + outer + close
  }

  /// RFC 8259, section 7: quotation mark, backslash and control characters must be escaped; everything else may stand.
  private static func quoted(_ string: String) -> String {
    var text = "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\t": text += "\\t"
      case "\r": text += "\\r"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "\""
  }
}
