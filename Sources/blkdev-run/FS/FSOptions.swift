internal import ArgumentParser
internal import DeviceLayers
internal import Ext2
internal import HostTree
internal import Reactor
internal import Workload

/// What stands before a verb: `blkdev-run fs [OPTION…] IMAGE VERB …`.
struct FSOptions: Sendable {
  /// How results are printed.
  enum Format: String, CaseIterable { case normal, json }

  var format = Format.normal
  var keepsGoing = false
  var mount = MountOptions()
  var credentials = Credentials.root
  /// The layers between the volume and the image.
  var stack = StackDescription()
  var wantsHelp = false
  /// The time for all that is changed, where the environment sets one.
  var time: CalendarTime?
  /// The image or block device.
  var image = ""
  /// The verb and its words; a lone "-" means a script on standard input.
  var words: [[UInt8]] = []

  /// - Throws: `usage`.
  init(_ words: [[UInt8]]) throws(FSError) {
    var rest = words[...]
    var operands: [[UInt8]] = []
    var layers: [StackSetting] = []
    var seed: UInt64?
    while operands.count < 2, let word = rest.popFirst() {
      let text = String(decoding: word, as: UTF8.self)
      if text == "-" || !text.hasPrefix("-") {
        operands.append(word)
        continue
      }
      let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      func value() throws(FSError) -> String {
        if parts.count == 2 { return parts[1] }
        guard let next = rest.popFirst() else { throw .usage("\(text) needs a value") }
        return String(decoding: next, as: UTF8.self)
      }
      switch parts[0] {
      case "-h", "--help": wantsHelp = true
      case "-k", "--keep-going": keepsGoing = true
      case "-o", "--options": try mount.add(try value())
      case "--output-format": format = try Self.format(try value())
      case "--user": credentials = try Self.credentials(try value())
      case "--seed":
        let text = try value()
        guard let number = UInt64(text) else { throw .usage("--seed \(text): a number is wanted") }
        seed = number
      default:
        if parts[0].hasPrefix("--"), let option = StackOption(rawValue: String(parts[0].dropFirst(2))) {
          let takesNext = option.valueName != nil && !option.valueIsOptional
          layers.append(StackSetting(option, takesNext ? try value() : parts.count == 2 ? parts[1] : nil))
          continue
        }
        let known =
          ["--help", "--keep-going", "--options", "--output-format", "--user", "--seed"]
          + StackOption.allCases.map { "--\($0.rawValue)" }
        throw .usage("unknown option \(text)" + Self.hint(parts[0], known))
      }
    }
    do throws(ValidationError) {
      time = try GivenTime.seconds().map { CalendarTime(seconds: $0, nanoseconds: 0) }
    } catch { throw .usage(error.message) }
    do throws(StackOptionError) { stack = try StackDescription(layers, readText: readText) } catch {
      throw .usage("\(error)")
    }
    if let seed { stack.seed = seed }
    image = String(decoding: operands.first ?? [], as: UTF8.self)
    self.words = Array(operands.dropFirst() + rest)
    if operands.first == Array("help".utf8) { wantsHelp = true }
    if wantsHelp { return }
    guard !operands.isEmpty else { throw .usage("an image is missing: blkdev-run fs IMAGE VERB …") }
    guard !self.words.isEmpty else {
      throw .usage("a verb is missing: blkdev-run fs \(image) VERB …, or - for a script on standard input")
    }
  }

  /// - Throws: `usage`.
  static func format(_ text: String) throws(FSError) -> Format {
    guard let format = Format(rawValue: text) else {
      throw .usage("--output-format=\(text): there are \(Format.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return format
  }

  private static func credentials(_ text: String) throws(FSError) -> Credentials {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    let numbers = parts.compactMap { UInt32($0) }
    guard parts.count <= 2, numbers.count == parts.count, let user = numbers.first else {
      throw .usage("--user \(text): a number is wanted, or two with a colon between: USER:GROUP")
    }
    return Credentials(user: user, group: numbers.count == 2 ? numbers[1] : user)
  }

  /// "; did you mean …?", where something near is known.
  static func hint(_ name: String, _ known: some Sequence<String>) -> String {
    nearestName(to: name, among: known).map { "; did you mean \($0)?" } ?? ""
  }
}
