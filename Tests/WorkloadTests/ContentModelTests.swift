import Reactor
import Testing

@testable import Workload

@Suite("What a workload writes")
struct ContentStampTests {
  @Test("names the file, the position and the generation of every lane")
  func origin() {
    let stamp = ContentStamp(seed: 9)
    var bytes = [UInt8](repeating: 0, count: 64)
    stamp.fill(&bytes, 0..<64, file: 3, position: 4096, generation: 17)
    #expect(stamp.origin(of: bytes, at: 16) == .init(file: 3, generation: 17, byteOffset: 4112))
    #expect(ContentStamp(seed: 10).origin(of: bytes, at: 16) == nil)
    #expect(stamp.origin(of: bytes, at: 8) == nil)
    #expect(stamp.origin(of: [UInt8](repeating: 0, count: 16), at: 0) == nil)
  }

  @Test("is the same whether it is written at once or byte by byte", arguments: [0, 1, 15, 16, 17, 4095])
  func pieces(offset: Int) {
    let stamp = ContentStamp(seed: 1)
    var whole = [UInt8](repeating: 0, count: 100), parts = whole
    stamp.fill(&whole, 0..<100, file: 1, position: UInt64(offset), generation: 2)
    for index in 0..<100 {
      stamp.fill(&parts, index..<index + 1, file: 1, position: UInt64(offset + index), generation: 2)
    }
    #expect(whole == parts)
  }
}

@Suite("The model of a file")
struct FileModelTests {
  /// A model beside a plain array of generations, one a byte.
  private struct Twin {
    let model: FileModel
    var bytes: [UInt32] = []

    mutating func write(_ range: Range<Int>) {
      let generation = model.nextGeneration()
      let change = FileModel.Change.write(UInt64(range.lowerBound)..<UInt64(range.upperBound), generation: generation)
      model.begin(change)
      model.end(change)
      if bytes.count < range.upperBound { bytes += Array(repeating: 0, count: range.upperBound - bytes.count) }
      for index in range { bytes[index] = generation }
    }
    mutating func truncate(to size: Int) {
      model.begin(.resize(UInt64(size)))
      model.end(.resize(UInt64(size)))
      if size < bytes.count { bytes.removeLast(bytes.count - size) }
      bytes += Array(repeating: 0, count: size - bytes.count)
    }
    var isEqual: Bool {
      model.byteCount == UInt64(bytes.count)
        && bytes.indices.allSatisfy {
          model.state(of: $0 / model.unitSize).generation(at: $0 % model.unitSize) == bytes[$0]
        }
    }
  }

  @Test("keeps every byte of drawn writes and truncates of any alignment", arguments: [UInt64](1...20))
  func random(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let model = FileModel(SimulatedReactor(seed: 1), id: 0, name: "f", unitSize: 512)
    #expect(model.changes.tryLock())
    var twin = Twin(model: model)
    for _ in 0..<60 {
      if random.oneIn(3) {
        twin.truncate(to: random.below(4000))
      } else {
        let start = random.below(3000)
        twin.write(start..<start + 1 + random.below(900))
      }
      #expect(twin.isEqual)
    }
  }

  @Test("lets a read beside a change find the file before it and after it, and nothing else")
  func observation() {
    let model = FileModel(SimulatedReactor(seed: 1), id: 0, name: "f", unitSize: 512)
    #expect(model.changes.tryLock())
    model.begin(.write(0..<512, generation: 1))
    model.end(.write(0..<512, generation: 1))
    model.begin(.write(0..<512, generation: 2))
    let observation = model.observe(0..<512)
    model.end(.write(0..<512, generation: 2))
    model.begin(.resize(100))
    model.end(.resize(100))
    model.end(observation)
    #expect(observation.smallestByteCount == 100 && observation.largestByteCount == 512)

    let stamp = ContentStamp(seed: 5)
    var comparison = ContentComparison(stamp: stamp, names: ["f"])
    func content(_ generation: UInt32, _ count: Int = 512) -> [UInt8] {
      var bytes = [UInt8](repeating: 0, count: 512)
      stamp.fill(&bytes, 0..<count, file: 0, position: 0, generation: generation)
      return bytes
    }
    for allowed in [content(1), content(2), content(2, 100)] {
      #expect(comparison.compare(allowed, at: 0, with: model, observation).isEmpty)
    }
    let mismatches = comparison.compare(content(3), at: 0, with: model, observation)
    #expect(mismatches.count == 1)
    #expect(mismatches.first?.found == "generation 3 of f at byte \(mismatches.first?.byteOffset ?? 0)")
    #expect(comparison.compare(content(1), at: 0, with: model).count == 1)
  }

  @Test("does not compare what was there before the run")
  func foreign() {
    let model = FileModel(SimulatedReactor(seed: 1), id: 0, name: "f", unitSize: 512, byteCount: 1024)
    var comparison = ContentComparison(stamp: ContentStamp(seed: 5), names: ["f"])
    #expect(comparison.compare([UInt8](repeating: 7, count: 1024), at: 0, with: model).isEmpty)
    #expect(model.changes.tryLock())
    model.begin(.write(0..<512, generation: 1))
    model.end(.write(0..<512, generation: 1))
    let mismatches = comparison.compare([UInt8](repeating: 7, count: 1024), at: 0, with: model)
    #expect(mismatches.map(\.byteOffset) == [0])
    #expect(mismatches.first?.found == "bytes 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07")
  }
}

@Suite("A permutation of offsets")
struct OffsetPermutationTests {
  @Test("has each number once", arguments: [1, 2, 3, 16, 17, 1000, 65_537] as [UInt64])
  func isPermutation(count: UInt64) {
    var random = SeededGenerator(seed: count)
    let permutation = OffsetPermutation(count: count, generator: &random)
    let other = OffsetPermutation(count: count, generator: &random)
    let numbers = (0..<count).map { permutation($0) }
    #expect(Set(numbers).count == Int(count) && numbers.allSatisfy { $0 < count })
    if count > 16 {
      #expect(numbers != Array(0..<count))
      #expect(numbers != (0..<count).map { other($0) })
    }
  }
}
