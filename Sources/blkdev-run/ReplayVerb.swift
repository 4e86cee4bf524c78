internal import ArgumentParser
internal import BlockDevice
internal import CLinux
internal import DeviceLayers
internal import Ext2Tools
internal import SystemPackage

/// `blkdev-run replay`: does to an image what a log of writes says.
struct ReplayVerb: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay", abstract: "Replay a log of writes onto an image, or list it.",
    discussion: """
      The log is one of --write-log, of the kernel's dm-log-writes or of qemu's blklogwrites. Each entry is done in \
      order; what lies past the end of the image is left out, and that is said.

      --list prints an entry a line, with blanks between: its number from 0 on; the byte where it begins and how many \
      bytes; what it is: write, discard or none, and +flush, +fua and +metadata; or mark and its text. --until N is \
      the state before entry N, --until-mark TEXT the one at the first mark of that text.

      Ends with 0 when everything that was asked for was replayed; with 1 when the log was cut off, and was replayed up \
      to there, as xfstests' replay-log does, or when something failed; with 2 when what was asked for cannot be, as a \
      mark that is not there, and nothing is written then; with 130 when it is interrupted.
      """)

  @Option(help: ArgumentHelp("Replay so many entries.", valueName: "entry")) var until: UInt64?
  @Option(help: ArgumentHelp("Replay up to the first mark with this text.", valueName: "text")) var untilMark: String?
  @Flag(help: "Print the entries instead of replaying them.") var list = false
  @Argument(help: "The log.") var log: String
  @Argument(help: "The image file or block device.") var image: String?

  func validate() throws {
    if until != nil && untilMark != nil { throw ValidationError("--until and --until-mark: one of them") }
    if list && image != nil { throw ValidationError("--list writes to no image: leave it out") }
    if !list && image == nil { throw ValidationError("an image is missing: replay LOG IMAGE, or replay --list LOG") }
  }

  func run() throws {
    cl_ignore_pipe_signal()
    let interruption = Interruption()
    do {
      let file = try FileBytes(path: log)
      let count = try entryCount(file)
      let isWhole: Bool
      if let image {
        isWhole = try replay(file, count, onto: FileBytes(path: image, isWritable: true), interruption)
      } else {
        isWhole = try printEntries(file, count, interruption)
      }
      if !isWhole { throw ArgumentParser.ExitCode(1) }
    } catch let error as DeviceError {
      throw ended(1, "\(error)")
    } catch let error as WriteLogError {
      throw ended(1, "\(log): \(error)")
    } catch let error as VolumeBytesError {
      throw ended(1, "\(image ?? log): \(error)")
    }
  }

  private func reader(_ file: FileBytes) throws(WriteLogError) -> WriteLogReader {
    try WriteLogReader(byteCount: file.byteCount) { offset, count throws(Errno) in
      do throws(VolumeBytesError) { return try file.bytes(at: offset, count) } catch { throw error.errno }
    }
  }

  /// How many entries to take: all, or up to where was asked.
  private func entryCount(_ file: FileBytes) throws -> UInt64 {
    var reader = try reader(file)
    if let until {
      guard until <= reader.entryCount else {
        throw ended(2, "--until \(until): \(log) has \(reader.entryCount) entries")
      }
      return until
    }
    guard let untilMark else { return .max }
    while let (entry, _) = try reader.next() {
      if entry.markName == untilMark { return reader.readCount - 1 }
    }
    throw ended(
      2, "--until-mark: \(log) has no mark '\(untilMark)'\(reader.truncation == nil ? "" : "; it is cut off")")
  }

  /// False when the log is cut off.
  private func replay(
    _ file: FileBytes, _ count: UInt64, onto image: FileBytes, _ interruption: Interruption
  ) throws -> Bool {
    var reader = try reader(file)
    var outside = 0
    while reader.readCount < count, let (entry, data) = try reader.next() {
      if interruption.hasCome { throw ArgumentParser.ExitCode(130) }
      if entry.flags.contains(.mark) || entry.sectorCount == 0 { continue }
      let (start, overflow) = entry.sector.multipliedReportingOverflow(by: UInt64(reader.sectorByteCount))
      let room = overflow || start > image.byteCount ? 0 : image.byteCount - start
      let (length, isLonger) = entry.sectorCount.multipliedReportingOverflow(by: UInt64(reader.sectorByteCount))
      if isLonger || length > room { outside += 1 }
      let wanted = isLonger ? room : min(length, room)
      if wanted == 0 { continue }
      if entry.flags.contains(.discard) {
        try image.zero(at: start, byteCount: wanted)
      } else {
        for offset in stride(from: 0, to: wanted, by: 1 << 20) {
          let piece = try file.bytes(at: data.lowerBound + offset, Int(min(1 << 20, wanted - offset)))
          try image.write(unsafe piece.span.bytes, at: start + offset)
        }
      }
    }
    try image.synchronize()
    if outside > 0 {
      tell("entries that reach past the end of \(image.path), and were replayed as far as it goes: \(outside)")
    }
    return isWhole(reader)
  }

  private func printEntries(_ file: FileBytes, _ count: UInt64, _ interruption: Interruption) throws -> Bool {
    var reader = try reader(file)
    while reader.readCount < count, let (entry, _) = try reader.next() {
      if interruption.hasCome { throw ArgumentParser.ExitCode(130) }
      let line = "\(reader.readCount - 1) \(Self.text(entry, sectorByteCount: reader.sectorByteCount))"
      guard print(line, to: .standardOutput) else { throw ended(1, "the list could not be printed") }
    }
    return isWhole(reader)
  }

  private static func text(_ entry: WriteLogEntry, sectorByteCount: Int) -> String {
    if let name = entry.markName { return "0 0 mark \(name.withoutControls)" }
    // What does not fit is no place on any device.
    let size = UInt64(sectorByteCount)
    let start = entry.sector.multipliedReportingOverflow(by: size),
      length = entry.sectorCount.multipliedReportingOverflow(by: size)
    var text = "\(start.overflow ? .max : start.partialValue) \(length.overflow ? .max : length.partialValue) "
    text += entry.flags.contains(.discard) ? "discard" : entry.sectorCount > 0 ? "write" : "none"
    for (flag, name) in [(.flush, "+flush"), (.forcedUnitAccess, "+fua"), (.metadata, "+metadata")]
      as [(WriteLogEntry.Flags, String)] where entry.flags.contains(flag)
    { text += name }
    return text
  }

  private func isWhole(_ reader: WriteLogReader) -> Bool {
    guard let (offset, expected) = reader.truncation else { return true }
    tell("\(log) is cut off at byte \(offset): \(reader.readCount) of \(expected) entries are there")
    return false
  }

  private func tell(_ text: String) { print("blkdev-run: \(text.withoutControls)", to: .standardError) }
  private func ended(_ status: Int32, _ message: String) -> ArgumentParser.ExitCode {
    tell(message)
    return ArgumentParser.ExitCode(status)
  }
}

extension FileBytes {
  fileprivate func bytes(at offset: UInt64, _ count: Int) throws(VolumeBytesError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    try read(at: offset, into: &raw)
    return bytes
  }
}
