// What a run has left on its devices, for whoever looks later: a text, replaced as a whole.
//
//     blkdev verify state 1
//     seed 42
//     method crc32c
//     pattern 0xff%o                 only where there is one
//     file 4096 1234567 disk.img     bytes of a unit, area, name
//     0 4096 17 17                   offset, length, what was written last, what is durable
//     4096 8192 15,18 15             one of two writes that were in flight together
//     12288 4096 z19 -               zeroes; nothing is durable
//     16384 4096 * 3                 nobody knows what is there, but at least generation 3
//     end 4                          how many ranges there are
//
// Offsets ascend within a file. What has never been written, and what was trimmed, has no line.
package import Ext2Tools
internal import Glibc
package import SystemPackage

/// What verification expects of the files of one copy of a job.
package struct VerifyState: Sendable, Equatable {
  /// Some bytes whose units have all been treated alike.
  package struct Entry: Sendable, Equatable {
    package var range: Range<UInt64>
    /// Values of a `GenerationMap`, one of which is there when nothing was lost; empty: nobody knows.
    package var candidates: [UInt32]
    /// What is there at least; nil: anything.
    package var durable: UInt32?
  }
  package struct File: Sendable, Equatable {
    package var name: String
    package var unit: Int
    package var area: UInt32
    package var entries: [Entry] = []
  }

  package var seed: UInt64
  package var method: VerifyMethod
  package var pattern: VerifyPattern?
  package var files: [File]

  /// What is wrong with a text that is to be a state.
  package struct Problem: Error, Equatable, CustomStringConvertible {
    package let line: Int
    package let reason: String
    package var description: String { "line \(line): \(reason)" }
  }
  /// A text that is longer is no state.
  package static let byteLimit = 1 << 30
  private static let setLimit = 1024

  package init(seed: UInt64, method: VerifyMethod, pattern: VerifyPattern? = nil, files: [File] = []) {
    self.seed = seed
    self.method = method
    self.pattern = pattern
    self.files = files
  }

  // MARK: Writing

  package var text: String {
    var text = "blkdev verify state 1\nseed \(seed)\nmethod \(method.rawValue)\n"
    if let pattern { text += "pattern \(pattern.text)\n" }
    for file in files {
      let name = file.name.map { $0.isNewline ? "?" : $0 }
      text += "file \(file.unit) \(file.area) \(String(name))\n"
      for entry in file.entries {
        let candidates = entry.candidates.isEmpty ? "*" : entry.candidates.map(Self.text).joined(separator: ",")
        let durable = entry.durable.map(Self.text) ?? "-"
        text += "\(entry.range.lowerBound) \(entry.range.count) \(candidates) \(durable)\n"
      }
    }
    return text + "end \(files.reduce(0) { $0 + $1.entries.count })\n"
  }

  private static func text(_ value: UInt32) -> String {
    GenerationMap.isZeroed(value) ? "z\(GenerationMap.number(value))" : "\(value)"
  }

  /// Writes it to a file, which has the old text or the new one whatever happens.
  package func store(to path: String) throws(Errno) {
    let new = path + ".new"
    do {
      let file = try FileDescriptor.open(
        FilePath(new), .writeOnly, options: [.create, .truncate],
        permissions: [.ownerReadWrite, .groupRead, .otherRead])
      try file.closeAfter {
        _ = try file.writeAll(text.utf8)
        if fsync(file.rawValue) != 0 { throw Errno(rawValue: errno) }
      }
      if unsafe rename(new, path) != 0 { throw Errno(rawValue: errno) }
    } catch let error as Errno { throw error } catch { throw .ioError }
  }

  // MARK: Reading

  /// Reads a text, whoever wrote it.
  package init(text: String) throws(Problem) {
    var number = 0
    var lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)[...]
    func problem(_ reason: String) -> Problem { Problem(line: number, reason: reason) }
    func next() -> Substring? {
      number += 1
      return lines.popFirst().map { Substring($0) }
    }
    /// The rest of a line that has to begin with that word.
    func rest(_ line: Substring?, _ word: String) -> Substring? {
      guard let line, line.hasPrefix(word + " ") else { return nil }
      return line.dropFirst(word.count + 1)
    }
    guard next() == "blkdev verify state 1" else { throw problem("is no verify state of version 1") }
    guard let seed = rest(next(), "seed").flatMap({ UInt64($0) }) else { throw problem("a line 'seed N' is wanted") }
    guard let method = rest(next(), "method").flatMap({ VerifyMethod(rawValue: String($0)) }) else {
      throw problem("a line 'method NAME' is wanted")
    }
    var line = next()
    var pattern: VerifyPattern?
    if let text = rest(line, "pattern") {
      pattern = VerifyPattern(String(text))
      if pattern == nil { throw problem("'\(text)' is no pattern") }
      line = next()
    }
    self.init(seed: seed, method: method, pattern: pattern)
    var entryCount = 0
    while let current = line, !current.hasPrefix("end ") {
      if let words = rest(current, "file")?.split(separator: " ", maxSplits: 2) {
        guard words.count == 3, let unit = Int(words[0]), unit >= 512, unit <= 1 << 30, unit % 512 == 0,
          let area = UInt32(words[1]), area < 1 << 24
        else { throw problem("a line 'file UNIT AREA NAME' is wanted") }
        files.append(File(name: String(words[2]), unit: unit, area: area))
      } else {
        guard let file = files.last, let entry = Self.entry(current, unit: UInt64(file.unit)) else {
          throw problem("a line 'OFFSET LENGTH WRITTEN DURABLE' is wanted")
        }
        if let last = file.entries.last, last.range.upperBound > entry.range.lowerBound {
          throw problem("offsets have to ascend")
        }
        files[files.count - 1].entries.append(entry)
        entryCount += 1
      }
      line = next()
    }
    guard rest(line, "end").flatMap({ Int($0) }) == entryCount else {
      throw problem("the text is cut off: a line 'end \(entryCount)' is wanted")
    }
  }

  private static func entry(_ line: Substring, unit: UInt64) -> Entry? {
    let words = line.split(separator: " ", omittingEmptySubsequences: false)
    guard words.count == 4, let offset = UInt64(words[0]), let length = UInt64(words[1]), length > 0,
      length.isMultiple(of: unit), length <= 1 << 62, offset <= 1 << 62, offset % 512 == 0
    else { return nil }
    var candidates: [UInt32] = []
    if words[2] != "*" {
      for word in words[2].split(separator: ",", omittingEmptySubsequences: false) {
        guard let value = value(word), candidates.count < setLimit else { return nil }
        candidates.append(value)
      }
    }
    var durable: UInt32?
    if words[3] != "-" {
      durable = value(words[3])
      if durable == nil { return nil }
    }
    return Entry(range: offset..<offset + length, candidates: candidates, durable: durable)
  }

  private static func value(_ word: Substring) -> UInt32? {
    let digits = word.hasPrefix("z") ? word.dropFirst() : word
    guard let number = UInt32(digits), number > 0, number <= GenerationMap.generationLimit else { return nil }
    return word.hasPrefix("z") ? GenerationMap.zeroes(by: number) : number
  }

  /// Reads a file, for a job.
  static func load(from path: String, job: String) throws(RunError) -> VerifyState {
    let size: UInt64
    do throws(RunError) { size = try HostFile.byteCount(of: path) } catch { throw error.ofNamedFile }
    guard size <= UInt64(byteLimit) else {
      throw .unfit(job: job, reason: "\(path): is too long for a verify state: \(size) bytes")
    }
    let bytes = try HostFile.with(path, .readOnly) { file throws(Errno) in
      do {
        var bytes = [UInt8](repeating: 0, count: Int(size))
        var done = 0
        while done < bytes.count {
          let part = try unsafe bytes.withUnsafeMutableBytes { target in
            unsafe try file.read(
              fromAbsoluteOffset: Int64(done), into: UnsafeMutableRawBufferPointer(rebasing: target[done...]))
          }
          if part == 0 { break }
          done += part
        }
        return Array(bytes[..<done])
      } catch let error as Errno { throw error } catch { throw .ioError }
    }
    do throws(Problem) { return try VerifyState(text: String(decoding: bytes, as: UTF8.self)) } catch {
      throw .unfit(job: job, reason: "\(path): \(error)")
    }
  }

  // MARK: Judging

  /// What a unit of a file that a state tells of is found to be.
  enum Outcome: Equatable {
    case held
    /// Older than the last write, as a power cut may leave what no flush covers.
    case unflushed
    case fault(BlockFault)
  }

  /// Judges a unit, `index` bytes into `bytes` and `offset` bytes into its file.
  static func judge(
    _ bytes: RawSpan, _ index: Int, at offset: UInt64, _ judge: BlockJudge, candidates: [UInt32], durable: UInt32?
  ) -> Outcome {
    if !candidates.isEmpty, judge.fault(bytes, index, at: offset, .oneOf(candidates)) == nil { return .held }
    guard let durable else { return .unflushed }
    if let fault = judge.fault(bytes, index, at: offset, .atLeast(durable)) { return .fault(fault) }
    return .unflushed
  }

  /// Judges an image of one of the files: what a power cut has left of it, for instance.
  package func judge(_ image: some VolumeBytes, file number: Int = 0) throws(VolumeBytesError) -> VerifyVerdict {
    var verdict = VerifyVerdict()
    guard files.indices.contains(number) else { return verdict }
    let file = files[number]
    let format = BlockFormat(seed: seed, area: file.area, unit: file.unit, method: method, pattern: pattern)
    let judge = BlockJudge(format: format, jobNames: [])
    var bytes = [UInt8](repeating: 0, count: file.unit)
    for entry in file.entries {
      for offset in stride(from: entry.range.lowerBound, to: entry.range.upperBound, by: file.unit) {
        guard offset + UInt64(file.unit) <= image.byteCount else {
          verdict.mismatches += 1
          verdict.note(
            Finding(
              .contentMismatch, file: file.name, offset: offset, expected: "a block", found: "the end of the image"))
          break
        }
        var span = bytes.mutableSpan
        var raw = unsafe span.mutableBytes
        try image.read(at: offset, into: &raw)
        switch Self.judge(raw.bytes, 0, at: offset, judge, candidates: entry.candidates, durable: entry.durable) {
        case .held: verdict.bytes += UInt64(file.unit)
        case .unflushed: verdict.unflushedBytes += UInt64(file.unit)
        case .fault(let fault):
          verdict.bytes += UInt64(file.unit)
          verdict.mismatches += 1
          verdict.note(Finding(fault, file: file.name, context: nil))
        }
      }
    }
    return verdict
  }
}

/// What a comparison has found.
package struct VerifyVerdict: Sendable, Equatable {
  /// Bytes that were compared.
  package var bytes: UInt64 = 0
  /// Bytes that are not what was written last, and that no flush covers.
  package var unflushedBytes: UInt64 = 0
  /// Units that are not what may be there.
  package var mismatches: UInt64 = 0
  /// The first of them.
  package private(set) var findings: [Finding] = []
  private static let findingLimit = 100

  package init() {}

  mutating func note(_ finding: Finding) {
    if findings.count < Self.findingLimit { findings.append(finding) }
  }
  mutating func add(_ other: VerifyVerdict) {
    bytes += other.bytes
    unflushedBytes += other.unflushedBytes
    mismatches += other.mismatches
    for finding in other.findings { note(finding) }
  }
}

extension Finding {
  init(_ fault: BlockFault, file: String, context: String?) {
    self.init(
      .contentMismatch, context: context, file: file, offset: fault.byteOffset, expected: fault.expected,
      found: "\(fault.kind.rawValue): \(fault.found)")
  }
}
